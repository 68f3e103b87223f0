package main

// marksMutants are the bounds on marks of the log, and what they must not cost.
func marksMutants() []mutant {
	marks := []string{"-run", "Mark|Frozen", "./edge/seglog"}
	source := []string{"-run", "Bounded|Acked|Node", "./edge/source"}
	return []mutant{
		{"marks a header has no room for lie in files", "edge/seglog/marks.go",
			"if m.size <= s.cfg.inlineMarks {", "if true {", marks},
		{"a set of marks is whole with its last file", "edge/seglog/markfile.go",
			"if !ok || n == head && !f.last {", "if !ok || f.number == 0 {", marks},
		{"changed marks that outgrow the full set become one", "edge/seglog/marks.go",
			" || m.chain.more > m.chain.full {", " {", marks},
		{"a mark that changed is written with the next set", "edge/seglog/marks.go",
			"\tm.changed[name] = true\n", "", marks},
		{"marks set aside are removed after a segment that holds them", "edge/seglog/marks.go",
			"\th.markFile = m.chain.head\n", "\th.markFile = m.chain.head\n\ts.dropObsoleteMarks()\n", marks},
		{"marks are set aside before they are forgotten", "edge/seglog/aside.go",
			"\"source\", owner, \"error\", err)\n\t\treturn nil\n", "\"source\", owner, \"error\", err)\n", marks},
		{"a source that is there again takes its marks back", "edge/seglog/aside.go",
			"\t\t\t\t\tm.set(mark, value)\n", "\t\t\t\t\t_ = value\n", marks},
		{"marks set aside yield to those that were not", "edge/seglog/aside.go",
			"if _, ok := m.all[mark]; !ok {", "if mark != \"\" {", marks},
		{"marks of a source that is gone leave memory and headers", "edge/seglog/aside.go",
			"\t\tm.remove(mark)\n", "\t\t_ = mark\n", marks},
		{"no older program goes on beside marks set aside", "edge/seglog/marks.go",
			"if len(m.asides) > 0 {", "if m == nil {", marks},
		{"marks are not ahead of the blocks that are left", "edge/seglog/marks.go",
			"if m.chain = chainTo(files, h.markFile); m.chain.head == 0 {", "if m.chain.head == 0 {", marks},
		{"marks behind a damaged file are read from blocks", "edge/seglog/marks.go",
			"if !ok || h.markFile > farthest.head {", "if !ok {", marks},
		{"marks behind a damaged header are read from the log before", "edge/seglog/marks.go",
			"if err := s.scanMarks(at.segment); err != nil {", "if err := error(nil); err != nil {", marks},
		{"a segment ready to be used makes room for marks", "edge/seglog/marks.go",
			"case s.freeRoom(), s.dropSpare():", "case s.freeRoom():", marks},
		{"two segments beside marks are always allowed", "edge/seglog/spare.go",
			"max(s.cfg.QuotaBytes, 2*s.cfg.SegmentBytes+s.markFileBytes())", "s.cfg.QuotaBytes", marks},
		{"files of marks count in the quota", "edge/seglog/store.go",
			"\tn := s.markFileBytes() + strays", "\tn := strays", marks},
		{"senders of earlier starts count in max_senders", "edge/source/acked.go",
			"if !a.known[id] && len(a.known) >=", "if len(a.senders) >=", source},
		{"a sender that is known comes in beyond the bound", "edge/source/acked.go",
			"if !a.known[id] && len(a.known) >=", "if len(a.known) >=", source},
		{"the nodes that a gateway knows are bounded", "edge/source/node.go",
			" && len(n.names) >= maxNodes {", " && len(n.known) >= maxNodes {", source},
	}
}
