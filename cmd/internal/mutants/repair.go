package main

// repairMutants are the comparisons of a repair, what it commits, and what an
// engine beside it makes of that.
func repairMutants() []mutant {
	repair := []string{"-run", "TestRepair$", "./cmd/internal/tampertest"}
	checkpoint, server := []string{"-run", "Repair|Head", "./engine/checkpoint"}, []string{"-timeout", "20s", "-run", "Repair", "./engine/server"}
	strays := []string{"-timeout", "120s", "-run", "TestRepairMoves|TestRepairFollows", "./cmd/internal/tampertest"}
	return []mutant{
		{"a task that a repair fenced claims again", "engine/server/supervise.go",
			"case permanent(err) && !taken && !repaired:", "case permanent(err) && !taken:", server},
		{"a task does not claim again after another claim", "engine/checkpoint/repaired.go",
			"err == nil && hash(data) != want {", "err == nil && want == \"\" {", checkpoint},
		{"two repairs after each other are seen through", "engine/checkpoint/repaired.go",
			"		want = m.Previous\n", "		return false, nil\n", checkpoint},
		{"a claim that a repair was faster than is made again", "engine/checkpoint/repaired.go",
			"		claim = c.from\n", "", checkpoint},
		{"a file with other bytes is damaged", "engine/repair/look.go",
			"have != f.SHA256 && !t.waiting[name]", "have == \"\" && !t.waiting[name]", repair},
		{"a file that was made again is the one that was", "engine/repair/plan.go",
			"if s.SHA256 != w.SHA256 || s.Bytes != w.Bytes {", "if s.Target != w.Name {", repair},
		{"what is no function of the records is made again as it was or not at all", "engine/repair/plan.go",
			"case table.Window, table.Late, table.Loss, table.Conflict:", "case table.Conflict:", []string{"./engine/repair"}},
		{"a block is proved by the chain that the ledger holds", "engine/repair/blocks.go",
			"refs[i].end == next && refs[i].hash.String() == want &&", "refs[i].end == next &&", []string{"./engine/repair"}},
		{"what another program keeps in its own folder stays", "engine/repair/look.go",
			"return strings.HasPrefix(part, \"_\") || strings.HasPrefix(part, \".\")", "return part == \"\"", repair},
		{"a dry run moves nothing", "engine/repair/repair.go",
			"to := \"_quarantine\"\n\tif !r.DryRun {", "to := \"_quarantine\"\n\tif to != \"\" {", repair},
		{"what a repair makes takes the place of what waits", "engine/checkpoint/repair.go",
			"return o.Sink == s.Sink && o.Target == s.Target", "return o.Sink == s.Target && o.Target == s.Target", checkpoint},
		{"a repair needs a ledger", "engine/checkpoint/repair.go",
			"case from.manifest.Ledger == nil && from.manifest.Epoch > 0:", "case from.manifest.Ledger == nil && from.manifest.Epoch > 1<<40:", checkpoint},
		{"HEAD is found again where there is no doubt", "engine/checkpoint/restore.go",
			"case len(newest) != 1:", "case len(newest) == 0:", checkpoint},
		{"an older manifest is not taken for the one that HEAD names", "engine/checkpoint/restore.go",
			"if h, err := DecodeHead(data); err == nil {", "if h, err := DecodeHead(data); err == nil && h.Epoch > 1<<40 {", checkpoint},
		{"a manifest is whole with its state", "engine/checkpoint/restore.go",
			"return false, except(err, ErrCorrupt)", "return true, except(err, ErrCorrupt)", checkpoint},
		{"a manifest is whole with its ledger", "engine/checkpoint/restore.go",
			"return false, except(err, ledger.ErrCorrupt, ledger.ErrMissing)", "return true, except(err, ledger.ErrCorrupt, ledger.ErrMissing)", checkpoint},
		{"HEAD is read as it was written", "engine/checkpoint/head.go",
			"err != nil || !bytes.Equal(again, data) {", "err != nil || again == nil {", checkpoint},
		{"HEAD and its manifest are of one format", "engine/checkpoint/head.go",
			" || m.Format != head.Format {", " {", checkpoint},
		{"a name in HEAD that is damaged is found again by its hash", "engine/checkpoint/restore.go",
			"		if f.SHA256 == h.SHA256 {\n", "		if f.Name == h.Manifest {\n", []string{"-run", "EveryBitOfTheName", "./engine/checkpoint"}},
		{"what some reader reads is a stray whatever it is called", "engine/repair/strays.go",
			"return !hidden || strings.HasSuffix(name, \".parquet\") && len(parts) <= 3", "return strings.HasSuffix(name, \".parquet\") && !hidden", strays},
		{"what no reader reads stays where it is", "engine/repair/strays.go",
			"return !hidden || strings.HasSuffix(name, \".parquet\") && len(parts) <= 3", "return strings.HasSuffix(name, \".parquet\") || !hidden", strays},
		{"a pipe is not opened", "cmd/internal/enginecli/repairlake.go",
			"	case err == nil && !info.Mode().IsRegular():\n", "	case err == nil && info.Mode().IsDir():\n", []string{"-timeout", "20s", "-run", "TestRepairMoves", "./cmd/internal/tampertest"}},
		{"a link to a day that lies elsewhere is no stray", "engine/repair/strays.go",
			"if folders[name] && r.odd[name] == Folder {", "if folders[name] && r.odd[name] == \"\" {", strays},
	}
}
