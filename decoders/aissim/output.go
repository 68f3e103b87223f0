package aissim

import (
	"math/rand/v2"
	"strconv"
)

// maxChars is how many payload characters go into one sentence.
const maxChars = 60

// slotMicros is the length of a slot, rounded up; slotBits is what fits into
// the first (256 bits less ramp, training, flags and CRC).
const (
	slotMicros = 26_667
	slotBits   = 168
)

// output turns transmissions into the lines of each receiver and sorts them by
// arrival.
type output struct {
	cfg     Config
	rand    *rand.Rand
	w       writer
	arena   arena
	last    []int64 // latest orderly arrival of each receiver
	seq     []int   // next sequence id of each receiver
	group   int     // next TAG group id
	number  uint64  // lines numbered so far
	serial  uint64
	pending queue // id: serial<<24 | index of lines
	lines   []Line
	free    []int
}

func (o *output) init(cfg Config, r *rand.Rand) {
	o.cfg, o.rand = cfg, r
	o.last = make([]int64, len(cfg.Receivers))
	o.seq = make([]int, len(cfg.Receivers))
}

// ready tells whether the first pending line can have no forerunner any more,
// given that the next transmission begins in the slot of the time next.
func (o *output) ready(next int64) bool {
	return len(o.pending) > 0 && o.pending[0].at <= next
}

func (o *output) next() Line {
	i := int(o.pending.pop().id & (1<<24 - 1))
	l := o.lines[i]
	o.lines[i] = Line{}
	o.free = append(o.free, i)
	return l
}

func (o *output) add(l *Line) {
	i := len(o.lines)
	if n := len(o.free); n > 0 {
		i = o.free[n-1]
		o.free = o.free[:n-1]
		o.lines[i] = *l
	} else {
		o.lines = append(o.lines, *l)
	}
	o.serial++
	o.pending.push(timed{l.At, o.serial<<24 | uint64(i)})
}

// deliver lets each receiver hear the transmission, or not. l has all but what
// depends on the receiver.
func (o *output) deliver(l Line) {
	slots := 1 + (6*len(l.Payload)-l.Fill-slotBits+255)/256
	end := l.Sent + int64(slots)*slotMicros
	l.Total = (len(l.Payload) + maxChars - 1) / maxChars
	for r := range o.cfg.Receivers {
		receiver := &o.cfg.Receivers[r]
		if receiver.Hears < 1 && o.rand.Float64() >= receiver.Hears {
			continue
		}
		l.Receiver = r
		latency := float64(receiver.Latency.Microseconds()) * (1 + 0.5*o.rand.Float64())
		at := max(end+int64(latency), o.last[r])
		o.last[r] = at
		if l.Total > 1 {
			o.seq[r] = (o.seq[r] + 1) % 10
			o.group = (o.group + 1) % 10_000
		}
		for l.Fragment = 1; l.Fragment <= l.Total; l.Fragment++ {
			l.At = at
			o.fragment(l, receiver, end)
		}
	}
}

// fragment adds one line, and perhaps noise after it.
func (o *output) fragment(l Line, receiver *Receiver, end int64) {
	if o.cfg.Disorder > 0 && o.rand.Float64() < o.cfg.Disorder {
		l.At += o.rand.Int64N(o.cfg.DisorderBy.Microseconds() + 1)
	}
	l.Kind = KindSentence
	if receiver.Loss > 0 && o.rand.Float64() < receiver.Loss ||
		l.Total > 1 && o.cfg.LostFragments > 0 && o.rand.Float64() < o.cfg.LostFragments {
		l.Kind = KindLost
	}
	b := o.arena.open(200 + len(receiver.Name))
	b = o.tag(b, &l, receiver, end)
	b = o.sentence(b, &l, receiver)
	l.Text = o.arena.keep(b)
	o.add(&l)
	if o.cfg.Noise > 0 && o.rand.Float64() < o.cfg.Noise {
		n := Line{At: l.At, Receiver: l.Receiver, Kind: KindNoise}
		b := o.arena.open(300 + len(receiver.Name))
		b = o.tag(b, &n, receiver, end)
		n.Text = o.arena.keep(o.noise(b, &l))
		o.add(&n)
	}
}

// tag appends the TAG block the configuration asks for.
func (o *output) tag(b []byte, l *Line, receiver *Receiver, end int64) []byte {
	if o.cfg.Tag == TagNone && !o.cfg.Unique || l.Kind == KindNoise && !o.cfg.Unique {
		return b
	}
	o.number++
	b = append(b, '\\')
	from := len(b)
	if o.cfg.Groups && l.Total > 1 {
		b = append(b, 'g', ':', '0'+byte(l.Fragment), '-', '0'+byte(l.Total), '-')
		b = strconv.AppendInt(b, int64(o.group), 10)
		b = append(b, ',')
	}
	b = append(b, "s:"...)
	b = append(b, receiver.Name...)
	b = append(b, ",n:"...)
	b = strconv.AppendUint(b, o.number, 10)
	switch o.cfg.Tag {
	case TagSeconds:
		b = append(b, ",c:"...)
		b = strconv.AppendInt(b, end/1_000_000, 10)
	case TagMillis:
		b = append(b, ",c:"...)
		b = strconv.AppendInt(b, end/1000, 10)
	}
	b = checksum(b, from)
	return append(b, '\\')
}

// sentence appends the fragment's VDM sentence.
func (o *output) sentence(b []byte, l *Line, receiver *Receiver) []byte {
	b = append(b, '!')
	from := len(b)
	b = append(b, receiver.Talker...)
	b = append(b, "VDM,"...)
	b = append(b, '0'+byte(l.Total), ',', '0'+byte(l.Fragment), ',')
	if l.Total > 1 {
		b = append(b, '0'+byte(o.seq[l.Receiver]))
	}
	b = append(b, ',', l.Channel, ',')
	part := l.Payload[(l.Fragment-1)*maxChars:]
	fill := l.Fill
	if l.Fragment < l.Total {
		part, fill = part[:maxChars], 0
	}
	b = append(b, part...)
	b = append(b, ',', '0'+byte(fill))
	return checksum(b, from)
}

// checksum appends '*' and the XOR of what follows from.
func checksum(b []byte, from int) []byte {
	const digits = "0123456789ABCDEF"
	var sum byte
	for _, c := range b[from:] {
		sum ^= c
	}
	return append(b, '*', digits[sum>>4], digits[sum&15])
}

// arena gives out pieces of large chunks, so that lines may be kept for ever
// and cost no allocation each.
type arena struct{ chunk []byte }

const chunkBytes = 64 << 10

// open returns an empty slice with room for n bytes. What is appended to it is
// lost unless it is given to keep before the next open.
func (a *arena) open(n int) []byte {
	if cap(a.chunk)-len(a.chunk) < n {
		a.chunk = make([]byte, 0, max(n, chunkBytes))
	}
	return a.chunk[len(a.chunk):len(a.chunk):cap(a.chunk)]
}

// keep makes what was appended to the last open permanent.
func (a *arena) keep(b []byte) []byte {
	if cap(b) == cap(a.chunk)-len(a.chunk) { // not moved elsewhere by append
		a.chunk = a.chunk[:len(a.chunk)+len(b)]
	}
	return b[:len(b):len(b)]
}
