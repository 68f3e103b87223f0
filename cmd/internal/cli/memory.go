package cli

import (
	"fmt"
	"io"
	"log/slog"

	"landfall/edge/memory"
)

// LimitMemory decides how much memory the program may have, sets the runtime's limit to
// it, and says both in the log: items are what w.Needed is made of.
func LimitMemory(log *slog.Logger, w memory.Wanted, items []memory.Item) memory.Bound {
	b := memory.Limit(w)
	log.Info("memory is bounded", "bytes", b.Bytes, "from", string(b.From), "needed", b.Needed, "group", b.Group)
	if !b.Fits() {
		log.Warn("memory: all that the settings allow at the same time is more than there is; if it comes to that, the program is ended and started again",
			"bytes", b.Bytes, "needed", memory.Text(items))
	}
	return b
}

// CheckMemory says what everything that a configuration allows takes, and the bound that
// follows from it.
func CheckMemory(out io.Writer, w memory.Wanted, items []memory.Item) error {
	b := memory.Decide(w)
	_, err := fmt.Fprintf(out, "memory: bounded to %s, %s; at the same time these take %s\n", memory.Size(b.Bytes), b.From, memory.Text(items))
	return err
}

// MemoryFinding is what doctor says of a daemon's memory. s is of the daemon that runs,
// nil: none does; unit is its name.
func MemoryFinding(s *memory.Status, w memory.Wanted, items []memory.Item, unit string) Finding {
	f := Finding{What: "memory", Verdict: Good}
	limit := memory.Decide(w).Bytes
	if s == nil || s.Limit == 0 { // an earlier version does not say
		f.Detail = fmt.Sprintf("would be bounded to %s where its control group allows it", memory.Size(limit))
	} else {
		f.Detail, limit = s.Text(), s.Limit
	}
	if sum := memory.Sum(items); sum > limit {
		f.Verdict = Look
		f.Detail += "; all that its settings allow at the same time is more: " + memory.Text(items)
		f.Fix = fmt.Sprintf("lower what is named, or give it %s: systemctl edit %s, [Service], MemoryMax=%dM", memory.Size(sum), unit, sum/4*5>>20)
	}
	return f
}
