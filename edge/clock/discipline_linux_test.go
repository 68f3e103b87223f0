package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiscipline: a clock that NTP or PTP keeps is believed to the bound that
// the kernel gives, any other not at all. What this machine's kernel says is
// read.
func TestDiscipline(t *testing.T) {
	const pll, nano = 0x1, 0x2000 // STA_PLL, STA_NANO
	for _, c := range []struct {
		name  string
		state int
		timex unix.Timex
		bound time.Duration
	}{
		{"kept by chrony", 0, unix.Timex{Status: pll | nano, Maxerror: 1_834}, 1_834 * time.Microsecond},
		{"kept, a leap second is to come", 1, unix.Timex{Status: pll | nano, Maxerror: 40_000}, 40 * time.Millisecond},
		{"never kept", clockError, unix.Timex{Status: clockUnsynchronised, Maxerror: 16_000_000}, 0},
		{"kept once, hours ago", 0, unix.Timex{Status: pll, Maxerror: 16_000_000}, 0},
		{"the daemon has let go", 0, unix.Timex{Status: pll | clockUnsynchronised, Maxerror: 2_000}, 0},
		{"an answer of nothing", 0, unix.Timex{}, 0},
	} {
		if bound, ok := disciplined(c.state, &c.timex); bound != c.bound || ok != (c.bound > 0) {
			t.Errorf("%s: %v, %v", c.name, bound, ok)
		}
	}
	var own unix.Timex
	state, err := unix.Adjtimex(&own)
	if err != nil {
		t.Skipf("the kernel says nothing: %v", err)
	}
	bound, ok := NewSystem(BootID{}).Discipline()
	t.Logf("this machine: state %d, status %#x, error at most %d us: %v, %v", state, own.Status, own.Maxerror, bound, ok)
	if kept := own.Status&clockUnsynchronised == 0 && state != clockError; ok && !kept {
		t.Errorf("state %d, status %#x is taken for kept", state, own.Status)
	}
}
