package operator

import (
	"testing"

	"landfall/edge/record"
)

// TestWithdrawnWatermarkForgetsAgain: what is remembered after a watermark of the far
// future was withdrawn is forgotten in time.
func TestWithdrawnWatermarkForgetsAgain(t *testing.T) {
	const now = record.Micros(1_780_000_000_000_000)
	e := newExpiry[int](expiryStep)
	forgotten := 0
	forget := func(int) { forgotten++ }
	e.add(1, now, 1)
	e.due(1, 1<<60, forget)
	e.withdraw(1)
	e.add(1, now, 2)
	e.due(1, now, forget)
	if forgotten != 1 {
		t.Errorf("%d forgotten before their time", forgotten-1)
	}
	e.due(1, now+3*expiryStep, forget)
	if forgotten != 2 {
		t.Errorf("%d of 2 are forgotten", forgotten)
	}
}
