package main

// roomMutants are in what a gateway says of its room, what it keeps beside records, and
// what an operator is told to do about it.
func roomMutants() []mutant {
	kept, room := []string{"-run", "TestBlockBytes", "./edge/seglog"}, []string{"-run", "TestRoomIsSaid", "./edge/agent", "./cmd/internal/edgecli"}
	return []mutant{
		{"what is kept is what was written of the active segment", "edge/seglog/append.go",
			", a.at-t.segment.dataAt", ", t.segment.size", kept},
		{"what is kept of the newest log of an earlier start is what was written", "edge/seglog/recover.go",
			"l.end, g.extent = block.End(), sc.at-g.dataAt", "l.end = block.End()", kept},
		{"what is kept of a log of an earlier start is measured", "edge/seglog/extent.go",
			"			s.measureSoon()\n", "", kept},
		{"a damaged frame does not end what is written", "edge/seglog/extent.go",
			"n = sc.at - g.dataAt\n", "return sc.at - g.dataAt, nil\n", kept},
		{"nothing is decided by the rate of the first minute", "edge/agent/room.go",
			"return l.RateSeconds >= rateAfter.Seconds()", "return l.RateSeconds > 0", room},
		{"the room is said as soon as something was captured", "edge/agent/room.go",
			"if s.Log.AppendedBytes > 0 {", "if s.Log.AppendedBytes > 0 && time.Since(a.started) > rateAfter {", room},
		{"room that is not known is not said to be none", "cmd/internal/edgecli/status.go",
			"case s.Log.RoomBytes < 0:", "case s.Log.RoomBytes < -1:", room},
		{"an address that another program has is no mistake", "edge/config/check.go",
			"errors.Is(err, syscall.EADDRINUSE) ||", "", []string{"-run", "TestListening", "./edge/config"}},
		{"an address that is busy stays so with its line", "edge/config/load.go",
			", Busy: fe.Busy}", "}", []string{"-run", "TestListening", "./edge/config"}},
		{"flags that exclude each other are a matter of usage", "cmd/internal/cli/cli.go",
			`"if any flags in the group [", `, "", []string{"-run", "TestRunPrints", "./cmd/internal/cli"}},
		{"what is not free comes before what is wrong", "cmd/internal/cli/cli.go",
			"case errors.Is(err, config.ErrBusy), errors.Is(err, durable.ErrLocked):", "case errors.Is(err, durable.ErrLocked):", []string{"-run", "TestCode", "./cmd/internal/cli"}},
	}
}
