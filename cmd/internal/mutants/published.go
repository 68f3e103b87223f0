package main

// publishedMutants are of the end-to-end acknowledgement: what is told as published,
// and where a log goes back to.
func publishedMutants() []mutant {
	ingest, lossy := []string{"-run", "Published|Lost|Lacks|Hole|Closed|Keeps|Told", "./engine/ingest"}, []string{"-run", "LossyLanding", "./engine/ingest"}
	registry := []string{"./engine/published"}
	return []mutant{
		{"an epoch is told as published after it was verified", "engine/checkpoint/publish.go",
			"	if err := c.publish(ctx, b); err != nil {\n\t\treturn err\n\t}\n\tc.forgetHeads",
			"	c.cfg.OnPublished(b.epoch, b.logs, b.tip)\n	if err := c.publish(ctx, b); err != nil {\n\t\treturn err\n\t}\n\tc.forgetHeads", []string{"-run", "ToldWhenItIsVerified", "./engine/checkpoint"}},
		{"what a claim finds published is told", "engine/task/task.go",
			"l.processor.allLogs(), manifest.Ledger)", "nil, nil)", []string{"-run", "PublishedIsTold", "./engine/task"}},
		{"of a task that ended nothing is known", "engine/task/task.go",
			"\tdefer cfg.Published.Lost(cfg.id())\n", "", []string{"-run", "PublishedIsTold", "./engine/task"}},
		{"what is published goes forward only", "engine/published/registry.go",
			"ok && have.next >= l.Next {", "ok && have.next == l.Next {", registry},
		{"a task that has not told is not known", "engine/published/registry.go",
			"\tif k == nil {\n\t\treturn Log{}, false\n\t}", "\tif k == nil {\n\t\treturn Log{}, true\n\t}", registry},
		{"a tail is never below what is published", "engine/ingest/standing.go",
			"case s.known && s.tail.Next >= f.published.Next:", "case s.known:", ingest},
		{"an answer acknowledges what is published", "engine/ingest/standing.go",
			"if a.Known && a.Acked < at.Next {", "if false {", []string{"-run", "WhileARequestRuns", "./engine/ingest"}},
		{"nothing is taken of a log that lost something before it is known how much", "engine/ingest/standing.go",
			"s = standing{unsure: true}", "", ingest},
		{"a log goes back to what its task lacks", "engine/ingest/standing.go",
			"\t\treturn f.wanted, true\n", "", lossy},
		{"a log goes back no further than to what is published", "engine/ingest/standing.go",
			"f.wanted >= f.published.Next && ", "", ingest},
		{"a log that goes back is not at its old tail at once", "engine/ingest/standing.go",
			"case s.known && r.tail.Next >= s.tail.Next:", "case s.known && r.heard:", ingest},
		{"a hole is asked for once", "engine/ingest/standing.go",
			"r.heard && now-r.at >= record.Micros(r.wait.Microseconds()))", "r.heard)", ingest},
		{"a gateway that keeps nothing is not taken back", "engine/ingest/standing.go",
			"case !f.keeps || !f.told:", "case !f.told:", ingest},
		{"a block says that its gateway keeps it", "engine/ingest/session.go",
			"Keeps: s.keeps(), Block: b.Bytes, Clock", "Block: b.Bytes, Clock", ingest},
		{"a gateway that is never told what is published keeps nothing", "engine/ingest/standing.go",
			"return s.head.Keeps && s.h.cfg.Published != nil", "return s.head.Keeps", ingest},
		{"a tail of which no hash is known is compared with nothing", "engine/ingest/session.go",
			"b.End() == s.tail.Next && s.tail.Hash != (record.Hash{})", "b.End() == s.tail.Next", lossy},
	}
}
