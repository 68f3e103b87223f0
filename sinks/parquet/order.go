package parquet

import (
	"cmp"
	"slices"
)

// key is what a file's rows are sorted by, and the row it belongs to.
type key struct {
	major uint32 // mmsi, or the rank of (gateway, log)
	row   uint32
	minor int64 // event_time, or offset
}

// insertionLimit is the longest run of one major key sorted by insertion.
const insertionLimit = 32

// sortKeys sorts by (major, minor), keeping the order of equal keys. Rows come
// nearly sorted by time, so runs of one ship are nearly sorted too.
// It gives keys or scratch, which is as long.
func sortKeys(keys, scratch []key) []key {
	if slices.IsSortedFunc(keys, compareKeys) {
		return keys
	}
	keys = radixMajor(keys, scratch)
	for start := 0; start < len(keys); {
		end := start + 1
		for end < len(keys) && keys[end].major == keys[start].major {
			end++
		}
		sortRun(keys[start:end])
		start = end
	}
	return keys
}

func compareKeys(a, b key) int {
	if a.major != b.major {
		return cmp.Compare(a.major, b.major)
	}
	return compareMinor(a, b)
}

// compareMinor orders keys of one major key; equal ones by row, so that any
// sort is stable.
func compareMinor(a, b key) int {
	if a.minor != b.minor {
		return cmp.Compare(a.minor, b.minor)
	}
	return cmp.Compare(a.row, b.row)
}

func sortRun(run []key) {
	if len(run) > insertionLimit {
		slices.SortFunc(run, compareMinor)
		return
	}
	for i := 1; i < len(run); i++ {
		k, j := run[i], i
		for ; j > 0 && run[j-1].minor > k.minor; j-- {
			run[j] = run[j-1]
		}
		run[j] = k
	}
}

// radixMajor sorts by the major key alone, stably, eleven bits a pass. It
// gives one of its two arguments.
func radixMajor(keys, scratch []key) []key {
	var diff uint32
	for i := range keys {
		diff |= keys[i].major ^ keys[0].major
	}
	for shift := 0; shift < 32; shift += 11 {
		if diff>>shift&0x7ff == 0 {
			continue
		}
		var next [2048]uint32
		for i := range keys {
			next[keys[i].major>>shift&0x7ff]++
		}
		sum := uint32(0)
		for i, n := range next {
			next[i], sum = sum, sum+n
		}
		for i := range keys {
			d := &next[keys[i].major>>shift&0x7ff]
			scratch[*d] = keys[i]
			*d++
		}
		keys, scratch = scratch, keys
	}
	return keys
}

// ranks gives each key its place among the sorted keys.
func ranks[K cmp.Ordered](keys []K) []uint32 {
	order := make([]uint32, len(keys))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Compare(keys[a], keys[b]) })
	rank := make([]uint32, len(keys))
	for r, i := range order {
		rank[i] = uint32(r)
	}
	return rank
}
