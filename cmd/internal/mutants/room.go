package main

// roomMutants are in what a gateway says of its room, what it keeps beside records, and
// what an operator is told to do about it.
func roomMutants() []mutant {
	kept, room := []string{"-run", "TestBlockBytes", "./edge/seglog"}, []string{"-run", "TestRoomIsSaid", "./edge/agent", "./cmd/internal/edgecli"}
	aside := []string{"-run", "TestMarksAsideAre|TestMarksAside$", "./edge/seglog"}
	return []mutant{
		{"marks that are set aside are in the quota", "edge/seglog/store.go",
			"s.asideBytes() + strays", "strays", aside},
		{"two segments are allowed beside marks that are set aside", "edge/seglog/spare.go",
			"s.markFileBytes()+s.asideBytes())", "s.markFileBytes())", aside},
		{"what is forgotten makes room at once", "edge/seglog/strays.go",
			" || s.lookForgotten()", "", aside},
		{"whose marks are set aside is known after a start", "edge/seglog/aside.go",
			"		f.owner = owner\n", "		_ = owner\n", aside},
		{"marks are forgotten durably", "edge/seglog/aside.go",
			"		err = fsys.SyncDir(dir)\n", "		err = nil\n", []string{"-run", "TestForgottenIsForgotten", "./edge/seglog"}},
		{"a source that is configured is not forgotten", "cmd/internal/edgecli/forget.go",
			"configured(cfg, f.Source) ||", "", []string{"-run", "TestForget", "./cmd/internal/edgecli"}},
		{"a source that runs is not forgotten", "cmd/internal/edgecli/forget.go",
			" && runs(s, f.Source) {", " && false {", []string{"-run", "TestForget", "./cmd/internal/edgecli"}},
		{"with a source the notes of its gaps are forgotten", "edge/agent/forget.go",
			"fsys.Remove(filepath.Join(c.DataDir, name)); err != nil {", "fsys.Remove(filepath.Join(c.DataDir, \"-\"+name)); err == nil {", []string{"-run", "TestForget", "./cmd/internal/edgecli"}},
		{"a full log says what marks that are set aside take", "edge/agent/status.go",
			`s.Capture.Blocked != "" && st.MarkAsideBytes > 0`, "st.MarkAsideBytes > 1<<40", []string{"-run", "TestARemovedSource", "./edge/agent"}},
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
