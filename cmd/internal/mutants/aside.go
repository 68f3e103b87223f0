package main

// asideMutants are of how a block that was set aside is taken in again, how an audit of
// topics knows it, and of how a gateway that was renamed proves where its log ended.
func asideMutants() []mutant {
	audit := func(run string) []string { return []string{"-run", run, "./engine/audit"} }
	taken := func(which string) []string {
		return []string{"-timeout", "300s", "-run", "TestBlocksThatWereSetAsideAreTakenIn" + which, "./cmd/internal/tampertest"}
	}
	beside := func(which string) []string {
		return []string{"-timeout", "300s", "-run", "TestNothingIsTakenInBesideDamage/" + which, "./cmd/internal/tampertest"}
	}
	renamed := audit("TestARenamedGatewayProvesTheEnd")
	return []mutant{
		{"an opening has the hash of the block before", "edge/seglog/openlog.go",
			"		o.PrevChain = prevChain\n", "		_ = prevChain\n", []string{"-run", "TestOpeningKnows", "./edge/seglog"}},
		{"an opening whose log may have gone on has no hash", "edge/record/annotation.go",
			"!o.PrevEndUnproven && o.PrevEnd == end", "o.PrevEnd == end", []string{"-run", "TestARenamedGatewayClosesItsLog", "./engine/task"}},
		{"a hash that is not known proves nothing", "edge/record/annotation.go",
			"chain != (Hash{}) && ", "", renamed},
		{"the task closes the log of a gateway that was renamed", "engine/task/logs.go",
			"renamed && !o.Proves(old.Next, old.Hash)", "renamed", []string{"-run", "TestARenamedGatewayClosesItsLog|TestAnOpeningClosesItsOwn", "./engine/task"}},
		{"audit: another gateway's word counts where it knows the last block", "engine/audit/result.go",
			"		case i == proven && !goesOn:\n", "		case !goesOn && uint64(o.PrevEnd) == end:\n", renamed},
		{"audit: the hash is that of the end", "engine/audit/result.go",
			"return l.next == end && a.logs[k].opening.Proves(record.Offset(end), l.chain)", "return a.logs[k].opening.PrevChain == l.chain", renamed},
		{"audit: one that knows the last block shows who lies", "engine/audit/result.go",
			"		case proven >= 0 && !goesOn:\n", "		case false:\n", renamed},
		{"audit: an earlier audit tells the hash", "engine/audit/since.go",
			"			l.chain = chainOf(was.Chain)\n", "", renamed},
		{"audit of topics: what is set aside is not missing", "engine/audit/topicrows.go",
			"	l.setAside(h.offset, v.Count)\n", "", audit("TestTopicsKnow")},
		{"audit of topics: what is set aside is inexact", "engine/audit/topicrows.go",
			"	l.asideRows++\n", "", audit("TestTopicsKnow")},
		{"audit of topics: the block is that of the row", "engine/audit/topicrows.go",
			"a.asideRecords(l, h.offset, v.Count, *v.Block); err != nil", "a.asideRecords(l, h.offset, v.Count, *v.Block); err != nil && len(*v.Block) > 1<<30", audit("TestTopicsKnow")},
		{"audit of topics: the lake beside tells what is set aside", "engine/audit/topics.go",
			"	a.asideByLake()\n", "", audit("TestTopicsKnow")},
		{"what is taken in is in conflict no more", "engine/repair/takein.go",
			"append(out.Removed, e.removed...)", "append(out.Removed, e.removed[:0]...)", taken("/in_epochs")},
		{"what else is in conflict stays", "engine/repair/takein.go",
			"	e.made = append(e.made, made...)\n", "", taken("/in_an_epoch_with_others")},
		{"only blocks that were set aside are taken in", "engine/repair/takein.go",
			"if one.Reason == task.ReasonPoison {", "if one.Reason == task.ReasonPoison || one.Reason != \"\" {", taken("/in_an_epoch_with_others")},
		{"rows that are taken in have files of their own", "engine/repair/takein.go",
			"\"-\" + strconv.Itoa(n)", "\"-\" + strconv.Itoa(0*n)", taken("/in_an_epoch_with_others")},
		{"readings of what is taken in are late", "engine/repair/takein.go",
			"math.MaxInt64", "math.MinInt64", taken("/in_epochs")},
		{"a block that is taken in is one that its epoch took", "engine/repair/takein.go",
			"	if !took || b.Log", "	if !took && false || b.Log", []string{"-run", "TestABlockIsTakenIn", "./engine/repair"}},
		{"a block that is in record is not taken in", "engine/repair/takein.go",
			"		if k.log == b.Log && slices", "		if k.log != b.Log && slices", []string{"-run", "TestABlockIsTakenIn", "./engine/repair"}},
		{"nothing is taken in beside damage", "engine/repair/takein.go",
			"	case len(t.wrong) > 0 ||", "	case t.id.Partition < 0 ||", beside("record_is_gone")},
		{"what a repair takes away is not published", "engine/checkpoint/repair.go",
			"return f.Sink == s.Sink && f.Name == s.Target", "return false", beside("conflict_was_moved")},
		{"what was put right lets blocks be taken in", "engine/repair/takein.go",
			"		r.again = !r.DryRun &&", "		r.again = r.DryRun &&", beside("typed_rows")},
	}
}
