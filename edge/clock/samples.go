package clock

import "slices"

// sample is one piece of evidence: x = UTC - Mono, heard at mono.
type sample struct {
	mono int64
	x    int64
}

// samples are the newest of one clock, a ring.
type samples struct {
	all  []sample
	next int
	seen uint64 // ever
}

func (s *samples) add(v sample, keep int) {
	s.seen++
	if len(s.all) < keep {
		s.all = append(s.all, v)
		return
	}
	s.all[s.next] = v
	s.next = (s.next + 1) % keep
}

// newest is when the last one was heard.
func (s *samples) newest() int64 {
	last := int64(-1 << 62)
	for _, v := range s.all {
		last = max(last, v.mono)
	}
	return last
}

// cluster is where most samples of a clock lie.
type cluster struct {
	n, of  int
	lo, hi int64 // the outermost that belong to it
	median int64
}

// densest finds the window of that width with the most of the samples that were
// heard after since; of equal ones the earliest. period
// 0: they lie on a line, else on a circle, and lo is in [0, period). scratch is
// reused.
func (s *samples) densest(since, period, width int64, scratch *[]int64) cluster {
	xs := (*scratch)[:0]
	for _, v := range s.all {
		if v.mono < since {
			continue
		}
		if period > 0 {
			xs = append(xs, mod(v.x, period))
		} else {
			xs = append(xs, v.x)
		}
	}
	slices.Sort(xs)
	n := len(xs)
	if period > 0 {
		for i := range n {
			xs = append(xs, xs[i]+period)
		}
	}
	*scratch = xs
	best := cluster{of: n}
	from := 0
	for i, j := 0, 0; i < n; i++ {
		for j < len(xs) && j < i+n && xs[j]-xs[i] <= width {
			j++
		}
		if j-i > best.n {
			best.n, from = j-i, i
		}
	}
	if best.n > 0 {
		best.lo, best.hi, best.median = xs[from], xs[from+best.n-1], xs[from+best.n/2]
	}
	return best
}
