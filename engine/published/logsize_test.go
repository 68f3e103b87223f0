package published

import (
	"runtime"
	"testing"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// TestWhatALogTakes: what an ingest keeps of each log that is in the lake is less than 250
// bytes of memory.
func TestWhatALogTakes(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	r, task := New(Config{Landing: "m", Partitions: 1}), stream.TaskID{Landing: "m"}
	r.Claimed(task, nil, nil)
	before := heap()
	const logs = 20_000
	previous := ""
	for i := range logs {
		id := record.LogID{1, byte(i), byte(i >> 8)}.String()
		r.Published(task, []ledger.Log{{Gateway: "g", Log: id, Next: 1, Previous: previous, Chain: id}}, ledger.Tip{Number: uint64(i + 1)})
		previous = id
	}
	if n, count := (heap()-before)/logs, r.Count("g"); n > 250 || count != (Count{Logs: logs, AllLogs: logs, Sharing: 1, Gateways: 1}) {
		t.Errorf("%d bytes a log, of %+v", n, count)
	} else {
		t.Logf("%d bytes a log", n)
	}
	runtime.KeepAlive(r)
}
