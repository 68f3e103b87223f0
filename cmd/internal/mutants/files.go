package main

// fileMutants are in the source that reads files: which file is which, when it is
// left, and what is declared.
func fileMutants() []mutant {
	file, gap := []string{"-run", "TestFile", "./edge/source"}, []string{"-run", "Gap", "./edge/agent"}
	const source, chain, reader = "edge/source/file.go", "edge/source/filechain.go", "edge/source/filereader.go"
	return []mutant{
		{"a file is known by its inode", chain,
			"return id.IsKnown() && s.about.Identity == id", "return id.IsKnown() && s.about.Device == id.Device", file},
		{"an inode that is used again is another file", chain,
			"	return ok && k == knownFile{", "	return ok && k != knownFile{-1, 0} || k == knownFile{", file},
		{"an open handle is read to its end and for the grace beyond", reader,
			"return r.copy || now-r.quietSince >= f.cfg.Grace.Microseconds(), nil", "return r.copy || now >= r.quietSince, nil", file},
		{"what a file had before what is read is still there", reader,
			"			if !r.intact() {", "			if n < 0 {", file},
		{"a file that was packed is the same file", chain,
			"	return err == nil && string(got) == string(want)\n", "	return err != nil && string(got) == string(want)\n", file},
		{"copies that were made while the file waited come before it", chain,
			"	return n > 0 && string(has[:m]) != string(head[:n])\n", "	return n > headBytes && string(has[:m]) != string(head[:n])\n", file},
		{"a hole in the numbers is a gap", chain,
			"	whole := at != nil && contiguous(s.others, at)", "	whole := at != nil || contiguous(s.others, at)", file},
		{"a file that grows after it was left is a gap", source,
			"if err != nil || size <= l.about.Size {", "if err != nil || size < l.about.Size {", file},
		{"a gap is declared where the next file begins", source,
			"		if why != 0 {\n", "		if why == gapLate {\n", file},
		{"a gap is counted in the position that its record brings", "edge/source/filegap.go",
			"	p.gaps, p.gap = f.gaps, f.gap\n", "", file},
		{"a gap behind a copy is declared after a restart too", reader,
			"	if at.owes {\n", "	if at.owes && at.offset < 0 {\n", file},
		{"copies that were made while the file waited owe one too", source,
			"		r.owes = s.copied\n", "", file},
		{"what cannot be opened next is not skipped", source,
			"	return next, at, err\n}\n\n// leave", "	return next, filePosition{}, err\n}\n\n// leave", file},
		{"a file that was left is not read again", chain,
			"c.isLeft(o) || ", "", file},
		{"a file that is read again was not left", source,
			"	f.chain.retake(r.at.about.Identity)\n", "", file},
		{"a gap turns health red until it is acknowledged", "edge/agent/status.go",
			"; !st.GapsAcknowledged {", "; st.Gaps > 1 {", gap},
		{"what an operator has acknowledged survives power loss", "edge/agent/acknowledge.go",
			"if err := fsys.SyncDir(dir); err != nil {", "if err := error(nil); err != nil {", gap},
		{"a gzip file that is followed is read on", reader,
			"	if r.c.gz != nil && growing && (", "	if r.c.gz == nil && growing && (", file},
		{"a gzip file that is followed and broken does not end its source", source,
			"			if !f.cfg.Follow {\n				return err\n", "			if err != nil {\n				return err\n", file},
		{"a gateway whose only source failed does not end with 0", "edge/capture/live.go",
			"		err = errors.Join(failed...)\n", "", []string{"-run", "TestASourceThatFailed", "./edge/capture"}},
		{"a reload does not change the data directory", "cmd/internal/edgecli/run.go",
			"	if was.DataDir == is.DataDir {", "	if was.DataDir != \"\" {", []string{"-run", "SameDir", "./cmd/internal/edgecli"}},
	}
}
