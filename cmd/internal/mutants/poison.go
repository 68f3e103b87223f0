package main

// poisonMutants are of how a block is found and set aside of which processes die.
func poisonMutants() []mutant {
	task := func(run string) []string { return []string{"-timeout", "120s", "-run", run, "./engine/task"} }
	audit := []string{"-run", "SetAside", "./engine/audit"}
	kills := task("TestABlockThatKillsIsSetAside")
	return []mutant{
		{"a death makes epochs smaller", "engine/task/attempt.go",
			"		next.Blocks = max(1, a.Blocks/careStep)", "		next.Blocks = a.Blocks", task("TestAttempts")},
		{"an epoch has no more blocks than care allows", "engine/task/task.go",
			"l.care.blocks >= l.care.note.Blocks ||", "l.care.blocks < 0 ||", kills},
		{"a stop is no death", "engine/task/care.go",
			"	n.Ended = !n.Panicked\n", "	n.Ended = false\n", task("TestWhatKills")},
		{"a stop at the beginning of a claim is no error", "engine/task/task.go",
			"		return stopped(ctx, err)\n", "		return err\n", task("TestAStopWhileANote")},
		{"a stop at the beginning of an epoch is no error", "engine/task/task.go",
			"return false, stopped(ctx, err)", "return false, err", task("TestAStopWhileANote")},
		{"an epoch that was committed is no death", "engine/task/attempt.go",
			"if !a.Open || a.Ended || a.Epoch != found {", "if !a.Open || a.Ended {", task("TestAttempts")},
		{"a process is not dead that asks", "engine/task/attempt.go",
			"a.Process != process\n}", "true\n}", task("TestAttempts")},
		{"a panic that comes back is one", "engine/task/care.go",
			"n.Panicked = errors.Is(err, stream.ErrPanic)", "n.Panicked = false", task("TestAPanicThatComesBack")},
		{"nothing is to blame once rows are made", "engine/task/task.go",
			"		OnSealed: l.sealed,\n", "", task("TestWhatKills")},
		{"an idle task makes no epoch", "engine/task/attempt.go",
			"if !a.Open || a.Ended", "if a.Ended", task("TestAttempts")},
		{"deaths are those of one block", "engine/task/attempt.go",
			"a.Suspect.Hash != s.Hash", "a.Suspect.Hash == \"\"", task("TestAttempts")},
		{"a suspect block is alone", "engine/task/care.go",
			"		l.cfg.Lane.mu.Lock()\n		l.care.alone = true\n", "", task("TestASuspectBlockIsAlone")},
		{"so many are no chance", "engine/task/aside.go",
			"	if recent >= maxAside {", "	if recent < 0 {", task("TestSoMany")},
		{"that a block is set aside stands in the state first", "engine/task/care.go",
			"l.commit(patient, false)", "patient.Err()", task("SetAsideIsMadeAgain")},
		{"a log goes on behind what was set aside", "engine/task/process.go",
			"	poison := r.Verdict == take && p.isAside(hash)\n", "	poison := false\n", kills},
		{"a claim collects no note", "engine/checkpoint/collect.go",
			"	kept[AttemptName(c.cfg.Task)] = true\n", "", kills},
		{"what is set aside makes a lake inexact", "engine/audit/result.go",
			"	if l.asideRows > 0 {", "	if l.asideRows < 0 {", audit},
		{"what is set aside is what was captured", "engine/audit/aside.go",
			"		a.digested(l, uint64(offset), raw)\n", "", audit},
		{"what is set aside is that block", "engine/audit/aside.go",
			"b.Log.String() != l.key.log || uint64(b.First) != from || uint64(b.Count) != n", "false", audit},
		{"what is set aside is red", "engine/server/aside.go",
			"		if now.Sub(since) >= asideMemory {", "		if now.Sub(since) >= 0 {", []string{"-run", "SetAsideIsRed", "./engine/server"}},
	}
}
