package server

import (
	"fmt"
	"time"

	"landfall/engine/task"
)

// AsideStatus is a block that was set aside because processes died of it: it is in the
// table conflict, whole, with reason poison, and none of its records is in record.
type AsideStatus struct {
	Gateway string `json:"gateway"`
	Log     string `json:"log"`
	From    uint64 `json:"from"`  // its first offset
	End     uint64 `json:"end"`   // the offset behind its last
	Since   string `json:"since"` // when it was set aside
}

// toldAside is how many blocks that were set aside the reasons and the status name, the
// newest.
const toldAside = 16

// asideMemory is how long such a block keeps health red after it was set aside, and
// after each start.
const asideMemory = 24 * time.Hour

// asideStatus lists the newest blocks that were set aside.
func asideStatus(all []task.AsideBlock) []AsideStatus {
	var out []AsideStatus
	for _, a := range all[max(0, len(all)-toldAside):] {
		out = append(out, AsideStatus{Gateway: a.Gateway, Log: a.Log, From: uint64(a.From), End: uint64(a.End),
			Since: text(a.At)})
	}
	return out
}

// suspectReasons says of which block processes die, before it is set aside.
func (t *TaskStatus) suspectReasons() []string {
	if t.SuspectDeaths < 2 {
		return nil
	}
	return []string{fmt.Sprintf("partition %d: %d processes died while they made rows of one block; it is set aside "+
		"after the third", t.Partition, t.SuspectDeaths)}
}

// asideReasons says which blocks were set aside not long ago.
func asideReasons(now, started time.Time, tasks []TaskStatus) []string {
	var out []string
	for i := range tasks {
		for n, a := range tasks[i].SetAside {
			since, err := time.Parse(time.RFC3339Nano, a.Since)
			if err != nil || since.Before(started) {
				since = started
			}
			if now.Sub(since) >= asideMemory {
				continue
			}
			if n == toldHoles {
				out = append(out, fmt.Sprintf("partition %d: %d blocks are set aside; see its status", tasks[i].Partition,
					tasks[i].SetAsideBlocks))
				break
			}
			out = append(out, fmt.Sprintf("partition %d: log %s of gateway %s: offsets from %d to %d are set aside: processes "+
				"died of that block, which is in the table conflict with reason poison",
				tasks[i].Partition, a.Log, a.Gateway, a.From, a.End))
		}
	}
	return out
}

// aside tells what was set aside, and which care is taken. The caller holds mu.
func (s *supervisor) aside(out *TaskStatus) {
	out.SetAside, out.SetAsideBlocks = asideStatus(s.last.Aside), len(s.last.Aside)
	out.Deaths, out.CareBlocks = s.counters.Deaths.Load(), s.counters.CareBlocks.Load()
	out.SuspectDeaths = s.counters.SuspectDeaths.Load()
}
