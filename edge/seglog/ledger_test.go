package seglog

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"landfall/edge/record"
)

// place is one offset of one log.
type place struct {
	log record.LogID
	off record.Offset
}

// ledger is the slow obvious model: what was tried, what was acknowledged, and
// what each place was ever seen to mean.
type ledger struct {
	groups   int
	tried    map[string]bool
	acked    map[place]string
	meaning  map[place]string
	marks    int // group of the newest acknowledged mark
	released map[record.LogID]record.Offset
	served   []place     // every place a read gave
	shed     bool        // gaps of reason shed are expected
	beheaded bool        // a newest segment was taken away
	off      func() bool // the power is off; nil: it is on
	appends  int
	failed   int
}

func newLedger() *ledger {
	return &ledger{
		tried: map[string]bool{}, acked: map[place]string{}, meaning: map[place]string{},
		released: map[record.LogID]record.Offset{},
	}
}

// append tries one new group of n records of the given size.
func (l *ledger) append(s *Store, n, size int) error {
	l.groups++
	var b record.Builder
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("group %d record %d %0*d", l.groups, i, size, l.groups))
	}
	fill(&b, texts...)
	if err := b.Annotate(record.Mark{Name: "source", Value: []byte(strconv.Itoa(l.groups))}.Annotation()); err != nil {
		return err
	}
	for _, text := range texts {
		l.tried[text] = true
	}
	first, err := s.Append(&b)
	if err != nil {
		l.failed++
		return err
	}
	if l.off != nil && l.off() {
		return errors.New("nobody is told of it")
	}
	l.appends++
	log, ok := s.Active()
	if !ok {
		return errors.New("no active log after Append")
	}
	for i, text := range texts {
		at := place{log, first + record.Offset(i)}
		if err := l.mean(at, text); err != nil {
			return fatalError{err}
		}
		l.acked[at] = text
	}
	l.marks = l.groups
	return nil
}

// fatalError is a broken promise, as opposed to an injected fault.
type fatalError struct{ error }

func (l *ledger) mean(at place, text string) error {
	if old, ok := l.meaning[at]; ok && old != text {
		return fmt.Errorf("offset %d of %s means %.30q and %.30q", at.off, at.log, old, text)
	}
	l.meaning[at] = text
	return nil
}

// read reads every log to its end and judges what comes. An error that is not
// a fatalError comes from the file system.
func (l *ledger) read(s *Store) error {
	if n := s.Stats().Beheaded; n > 0 && !l.beheaded {
		return fatalError{fmt.Errorf("%d logs are said to have lost their newest segment", n)}
	}
	served, kept := map[string]bool{}, map[record.LogID]bool{}
	for _, in := range s.Logs() {
		kept[in.ID] = true
		if in.First > l.released[in.ID] {
			return fatalError{fmt.Errorf("log %s begins at %d, released to %d", in.ID, in.First, l.released[in.ID])}
		}
		if err := l.readLog(s, in, served); err != nil {
			return err
		}
	}
	for at, text := range l.acked {
		if at.off >= l.released[at.log] && !served[text] && !(l.shed && kept[at.log]) {
			return fatalError{fmt.Errorf("acknowledged %.30q at %d of %s is gone", text, at.off, at.log)}
		}
	}
	return l.checkMarks(s, served)
}

func (l *ledger) checkMarks(s *Store, served map[string]bool) error {
	mark, err := strconv.Atoi(string(s.Marks()["source"]))
	if err != nil && l.marks > 0 || mark < l.marks {
		return fatalError{fmt.Errorf("mark %d is older than the acknowledged %d", mark, l.marks)}
	}
	if mark <= l.marks {
		return nil
	}
	for text := range served {
		var g int
		if _, err := fmt.Sscanf(text, "group %d", &g); err == nil && g == mark {
			return nil
		}
	}
	return fatalError{fmt.Errorf("mark %d is ahead of the data", mark)}
}

func (l *ledger) readLog(s *Store, in LogInfo, served map[string]bool) error {
	r, err := s.Reader(in.ID, in.First)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	next := in.First
	sum, summed := record.Digest(0), next == 0
	for {
		item, err := r.Next()
		switch {
		case errors.Is(err, ErrCaughtUp) || err == io.EOF:
			if next != in.End {
				return fatalError{fmt.Errorf("log %s ends at %d, read to %d", in.ID, in.End, next)}
			}
			return nil
		case err != nil:
			return err
		case item.IsGap():
			err = l.gap(in.ID, next, item.Gap)
			next, summed = item.Gap.To, false
		default:
			err = l.block(in, next, item.Block, served)
			d, ok := item.Block.Digest()
			if ok != s.cfg.CapturedRecords || ok && summed && d != sum+item.Block.DigestRecords() {
				err = errors.Join(err, fmt.Errorf("block %d..%d has the digest %s, %v", item.Block.First, item.Block.End(), d, ok))
			}
			next, sum, summed = item.Block.End(), d, ok
		}
		if err != nil {
			return fatalError{err}
		}
	}
}

func (l *ledger) gap(log record.LogID, next record.Offset, g Gap) error {
	if g.From != next || g.To <= g.From {
		return fmt.Errorf("gap %+v where %d was due", g, next)
	}
	if l.shed && g.Reason == ReasonShed {
		return nil
	}
	for off := g.From; off < g.To; off++ {
		if text, ok := l.acked[place{log, off}]; ok && off >= l.released[log] {
			return fmt.Errorf("acknowledged %.30q lies in gap %+v", text, g)
		}
	}
	return nil
}

func (l *ledger) block(in LogInfo, next record.Offset, b record.Block, served map[string]bool) (err error) {
	if b.First != next && (next != in.First || b.First > next) {
		return fmt.Errorf("block %d..%d where %d was due", b.First, b.End(), next)
	}
	b.Payloads(func(off record.Offset, p []byte) bool {
		var r record.Record
		if err = b.DecodeRecord(p, &r); err != nil {
			return false
		}
		if r.Kind == record.KindLogOpen {
			return true
		}
		text := string(r.Raw)
		switch {
		case !l.tried[text]:
			err = fmt.Errorf("%.30q was never appended", text)
		case served[text]:
			err = fmt.Errorf("%.30q is served twice", text)
		default:
			err = l.mean(place{in.ID, off}, text)
		}
		served[text] = true
		l.served = append(l.served, place{in.ID, off})
		return err == nil
	})
	return err
}
