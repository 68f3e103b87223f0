package server

import (
	"strings"
	"testing"

	"landfall/edge/config"
	"landfall/edge/memory"
	"landfall/engine/operator"
	"landfall/engine/task"
)

// TestMemoryIsTheSumOfItsBounds: each setting that lets an engine hold more adds to what
// it needs; a bound below that is refused with every item, and the sum itself is taken.
func TestMemoryIsTheSumOfItsBounds(t *testing.T) {
	usable := func() Config {
		c := Default()
		c.Listen, c.Landing.Dir, c.Lake.Dir, c.Identity.Unauthenticated = "127.0.0.1:1", "/l", "/k", true
		return c
	}
	base := usable()
	t.Log(memory.Text(base.MemoryItems()))
	for name, more := range map[string]func(*Config){
		"partitions": func(c *Config) { c.Landing.Partitions = 2 },
		"epochs":     func(c *Config) { c.Epoch.Size *= 2 },
		"bodies":     func(c *Config) { c.Limits.Bodies *= 2 },
		"a page":     func(c *Config) { c.Status = "127.0.0.1:2" },
	} {
		t.Run(name, func(t *testing.T) {
			c := usable()
			more(&c)
			if before, after := memory.Sum(base.MemoryItems()), memory.Sum(c.MemoryItems()); after < before+8<<20 {
				t.Errorf("%d MiB, before %d", after>>20, before>>20)
			}
		})
	}
	two := usable()
	two.Landing.Partitions = 2
	each := landingMemory + operator.StateMemory + task.EpochMemory(int64(base.Epoch.Size))
	if more := memory.Sum(two.MemoryItems()) - memory.Sum(base.MemoryItems()); more < each-1<<20 || more > each+1<<20 {
		t.Errorf("a second partition adds %d MiB, want %d", more>>20, each>>20)
	}
	few := usable()
	few.Limits.Sessions = 16
	if before, after := memory.Sum(base.MemoryItems()), memory.Sum(few.MemoryItems()); after >= before {
		t.Errorf("with few sessions %d MiB, before %d", after>>20, before>>20)
	}
	c := usable()
	c.Memory = config.Bytes(memory.Sum(c.MemoryItems()))
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Memory--
	err := c.Validate()
	if err == nil {
		t.Fatal("a bound below the sum is taken")
	}
	for _, i := range c.MemoryItems() {
		if !strings.Contains(err.Error(), i.What+" "+memory.Size(i.Bytes)) {
			t.Errorf("%s is not in %s", i.What, err)
		}
	}
}
