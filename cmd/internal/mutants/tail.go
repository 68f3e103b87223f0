package main

// tailMutants are in what finds that the end of a gateway's log is gone, and tells it.
func tailMutants() []mutant {
	const mark, loss = "edge/seglog/tailmark.go", "edge/seglog/tailloss.go"
	tail := []string{"-run", "Tail|TornSlot|Known", "./edge/seglog"}
	lost := []string{"-run", "Lost|Landed|CloudHasMore", "./edge/agent"}
	return []mutant{
		{"files wait where the end of the log is lost", "edge/agent/introduced.go",
			"!acknowledged(a.opt.FS, a.cfg.lostEndsNote(n), n)", "n > 1<<40", lost},
		{"a loss that the cloud was told is not taken for records", "edge/agent/lostends.go",
			"		if l.has(loss.Log) {", "		if false {", lost},
		{"a tail marker says no more than is durable", mark,
			"first: g.first, end: l.tip.End},", "first: g.first, end: l.tip.End + 1},", []string{"-run", "TestFaultMatrix|Tail", "./edge/seglog"}},
		{"a tail marker is written behind each group", "edge/seglog/append.go",
			"	s.markTail(l)\n", "", tail},
		{"a tail marker is durable before it counts", mark,
			"		err = w.file.SyncData()\n", "		err = nil\n", tail},
		{"the slots of a tail marker are written by turns", mark,
			"	w.slot = (w.slot + 1) % tailSlots\n	return len(p), nil", "	return len(p), nil", tail},
		{"the newer slot of a tail marker counts", mark,
			"if err == nil && write > w.write {", "if err == nil {", tail},
		{"the file of a tail marker on which a write failed is dead", mark,
			"		w.made = false\n		return 0, ", "		return 0, ", tail},
		{"a tail marker of another gateway is not believed", mark,
			"newest >= 0 && !s.knows(m.log) && !s.knows(m.prev):", "newest < 0:", tail},
		{"a tail marker tells of a log that is gone", mark,
			"newest >= 0 && !s.knows(m.log) && !s.knows(m.prev):", "newest >= 0:", tail},
		{"a tail marker is written at most once a second", mark,
			"case <-time.After(tailMarkEvery):", "case <-time.After(0):", tail},
		{"a tail marker is written when the log is closed", "edge/seglog/store.go",
			"errors.Join(s.closeTailMarker(), s.app.close())", "s.app.close()", tail},
		{"a log ends where its tail marker says", loss,
			"		l.end = max(l.end, l.newest.end)\n", "", tail},
		{"a log ends no earlier than it had landed", loss,
			"			l.end = max(l.end, least)\n", "			_ = least\n", tail},
		{"a lost end is unproven, unless the log was closed", loss,
			"s.app.unproven = s.app.unproven || last && !known && !closed", "s.app.unproven = s.app.unproven || last && !known && closed", tail},
		{"the digest of a lost end is known", loss,
			"		l.tip = Tip{End: m.end,", "		_ = Tip{End: m.end,", tail},
		{"a lost end is written down before the next log forgets it", "edge/agent/lostends.go",
			"		l.add(loss, had)\n	}\n	l.flush()\n", "		l.add(loss, had)\n	}\n", lost},
		{"a lost end is red until it is acknowledged", "edge/agent/status.go",
			"	if !s.Log.LostEndsAcknowledged {\n", "	if s.Log.TailLosses > 0 {\n", lost},
		{"a damaged list of lost ends is red again", "edge/agent/lostends.go",
			"			l.list.Count = max(l.list.Count, n)\n", "			_ = n\n", lost},
		{"what had landed is asked for when a log is opened", "edge/agent/agent.go",
			"	storing.Known = known\n", "	_ = known\n", lost},
		{"a cloud that has more of a log than the disk is told of", "edge/forward/session.go",
			"	if landed > here.End {\n", "	if landed < here.End {\n", []string{"-run", "Ahead", "./edge/forward"}},
	}
}
