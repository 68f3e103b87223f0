package clock

import (
	"runtime"
	"testing"

	"landfall/edge/durable"
)

func TestSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the boot id is Linux's")
	}
	boot, err := ReadBootID(durable.OS{})
	if err != nil || boot == (BootID{}) {
		t.Fatalf("boot %x, %v", boot, err)
	}
	var c Clock = NewSystem(boot)
	wall, a := c.Now()
	_, b := c.Now()
	if c.Boot() != boot || wall < 1_500_000_000_000_000 || a <= 0 || b < a {
		t.Fatalf("wall %d, monotonic %d then %d", wall, a, b)
	}
}
