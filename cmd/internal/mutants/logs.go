package main

// logMutants are what the tables log and loss say of a log, and is_duplicate.
func logMutants() []mutant {
	task := []string{"-run", "Digest|Epoch|Opening|LogState|Crashes", "./engine/task"}
	parquet, dedupe := []string{"-run", "Unsigned", "./sinks/parquet"}, []string{"-run", "Dedupe|Repetition", "./engine/operator"}
	return []mutant{
		{"a log's digest is what its newest block says", "engine/task/judge.go",
			"st.Next, st.Hash, st.Digest = h.End(), hash, digest", "if st.Next, st.Hash = h.End(), hash; digest.Valid {\n\t\tst.Digest = digest\n\t}", task},
		{"a digest is copied from the block taken", "engine/task/process.go",
			"digest.Value, digest.Valid = b.Digest()", "digest = st.Digest", task},
		{"a loss has the digest of its own range", "engine/task/judge.go",
			"return ais.Some(digest.Value - st.Digest.Value)", "return digest", task},
		{"a loss after an unknown digest has none", "engine/task/judge.go",
			"if !st.Digest.Valid || !digest.Valid {", "if !digest.Valid {", task},
		{"a log begins with the digest of nothing", "engine/task/judge.go",
			"Digest: ais.Some(record.Digest(0)), ", "", task},
		{"an epoch's rows of log are staged", "engine/task/task.go",
			"l.committer.Manifest().Epoch+1, final, batch)", "l.committer.Manifest().Epoch+1, final, new(table.Batch))", task},
		{"a row of log names its own epoch", "engine/task/task.go",
			"l.committer.Manifest().Epoch+1, final, batch)", "l.committer.Manifest().Epoch, final, batch)", task},
		{"each epoch has rows of its own logs only", "engine/task/logs.go",
			"\tclear(p.touched)\n", "", task},
		{"a log that nothing of was known has a row", "engine/task/process.go",
			"\tp.touch(b.Log, st.Next, l.LandedAt)\n", "\tif known {\n\t\tp.touch(b.Log, st.Next, l.LandedAt)\n\t}\n", task},
		{"a log that a newer one names is closed", "engine/task/logs.go",
			"old.Closed, old.End = true, o.PrevEnd\n", "old.End = o.PrevEnd\n", task},
		{"a closed log has a row", "engine/task/logs.go",
			"\tp.touch(o.Prev, old.Next, l.LandedAt)\n", "", task},
		{"a gateway closes its own logs only", "engine/task/logs.go",
			"renamed := old.Gateway != l.Gateway\n", "renamed := false\n", task},
		{"what opened a log survives a restart", "engine/task/logcodec.go",
			"dst = binary.AppendUvarint(append(dst, v.Previous[:]...), uint64(v.PreviousEnd))", "dst = binary.AppendUvarint(append(dst, make([]byte, 16)...), uint64(v.PreviousEnd))", task},
		{"digests are unsigned to other readers", "sinks/parquet/file.go",
			"BitWidth: 64, IsSigned: false", "BitWidth: 64, IsSigned: true", parquet},
		{"bounds of digests are in the order of unsigned numbers", "sinks/parquet/encode_bytes.go",
			"return cmp.Compare(binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b))", "return cmp.Compare(int64(binary.LittleEndian.Uint64(a)), int64(binary.LittleEndian.Uint64(b)))", parquet},
		{"a message without a stated time repeats none", "engine/operator/dedupe.go",
			"if t.TimeSource == record.TimeBase {", "if t.TimeSource == record.TimeBase && c == nil {", dedupe},
		{"a message beyond the horizon repeats none", "engine/operator/dedupe.go",
			"if !c.remembers(t.EventTime, DedupeHorizon) {", "if t.EventTime == record.NoTime {", dedupe},
		{"a repetition is one from whichever source", "engine/operator/decode.go",
			"d.dedupe.mark(c, lineage.Offset, times, d.rows.Key(), &reception)", "if r.Source == 0 {\n\t\td.dedupe.mark(c, lineage.Offset, times, d.rows.Key(), &reception)\n\t}", dedupe},
	}
}
