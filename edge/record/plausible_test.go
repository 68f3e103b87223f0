package record

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"
)

// TestImplausibleTimes: the bounds are the first and last microsecond of four digits'
// years; what is beyond is no time of an opening, and what is before no watermark.
func TestImplausibleTimes(t *testing.T) {
	if first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC); Micros(first.UnixMicro()) != MinTime ||
		Micros(last.UnixMicro())-1 != MaxTime {
		t.Errorf("from %d to %d", MinTime, MaxTime)
	}
	for at, plausible := range map[Micros]bool{
		MinTime: true, MaxTime: true, 0: true, NoTime: true, MinTime - 1: false, MaxTime + 1: false, NoTime + 1: false, math.MaxInt64: false,
	} {
		if at.Plausible() != plausible || plausible && at.OrNone() != at || !plausible && at.OrNone() != NoTime {
			t.Errorf("%d: plausible %v, or none %d", at, at.Plausible(), at.OrNone())
		}
		if b := at.Bounded(); b < MinTime || b > MaxTime || plausible && at != NoTime && b != at {
			t.Errorf("%d is bounded to %d", at, b)
		}
		w, err := Annotation{Type: AnnWatermark, Body: append(binary.AppendVarint(nil, int64(at)), 0)}.Watermark()
		if known := plausible || at > MaxTime; known && (err != nil || w.At != at) || !known && !errors.Is(err, ErrCorrupt) {
			t.Errorf("watermark %d: %d, %v", at, w.At, err)
		}
		o, err := DecodeOpening(Opening{PrevLastAt: at, OpenedAt: at}.Encode())
		if err != nil || o.OpenedAt != at.OrNone() || o.PrevLastAt != at.OrNone() {
			t.Errorf("opening at %d: %+v, %v", at, o, err)
		}
	}
}
