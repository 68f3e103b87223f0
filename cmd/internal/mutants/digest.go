package main

// digestMutants are places between a captured record and the digest and the tips
// that vouch for it.
func digestMutants() []mutant {
	seglog, loss, replay := []string{"-run", "Digest|Tip", "./edge/seglog"}, []string{"-run", "Loss|Lost", "./edge/forward"}, []string{"./engine/landing/replay"}
	tips, gateway := []string{"./edge/tips"}, []string{"-run", "Tip|Book", "./edge/agent"}
	return []mutant{
		{"the digest of a log goes on from group to group", "edge/seglog/append.go",
			"hash, first+record.Offset(b.Count()), digest", "hash, first+record.Offset(b.Count()), a.digest+0", seglog},
		{"a group that did not become durable adds nothing to the digest", "edge/seglog/append.go",
			"\t\tb.SetDigest(digest)\n", "\t\tb.SetDigest(digest)\n\t\ta.digest = digest\n", seglog},
		{"the opening of a log is in its digest", "edge/seglog/openlog.go",
			"\t\ta.digest = b.DigestAt(&a.digester, 0)\n", "", seglog},
		{"a loss says the digest at its own end", "edge/forward/body.go",
			"\t\t\td -= item.Block.DigestRecords()\n", "", loss},
		{"a loss at the end of a log says the digest that is known", "edge/forward/body.go",
			"d, ok := b.digestAt(b.log, last); ok", "d, ok := b.digestAt(b.log, 0); ok", loss},
		{"what cannot be read behind a loss holds it back", "edge/forward/body.go",
			"\t\t\treturn fmt.Errorf(\"read log %s at offset %d: %w\", b.log, last, err)\n", "\t\t\tbreak\n", loss},
		{"the digest of a replayed log goes on from block to block", "engine/landing/replay/packer.go",
			"p.digest += p.builder", "p.digest = p.builder", replay},
		{"a replay goes on in the version in which it began", "cmd/internal/enginecli/replaynote.go",
			"version := replay.Version - 1; version > 0", "version := replay.Version - 1; version > 99", []string{"-run", "OlderProgram", "./cmd/internal/enginecli"}},
		{"a tip is never lowered", "edge/tips/book.go",
			"if other.End > t.End {", "if other.End != t.End {", tips},
		{"a tip that is kept no more is counted", "edge/tips/book.go",
			"r.Merged = r.Merged.Merge(r.Logs[0])", "_ = r.Logs[0]", tips},
		{"only logs that the cloud has whole are merged", "edge/tips/book.go",
			"return t.Closed && t.Acked >= t.End", "return t.Closed", tips},
		{"the signature of tips is over what they say", "edge/tips/document.go",
			"text, signature); err != nil {", "text, signature); err != nil && len(text) == 0 {", tips},
		{"tips are signed by their own gateway", "edge/tips/document.go",
			"if !wire.CertificateNames(leaf, body.Gateway) {", "if leaf == nil {", tips},
		{"roots vouch for who signed tips", "edge/tips/document.go",
			"return body, signer, fmt.Errorf(\"%w: %w\", ErrSigner, err)", "_ = err", tips},
		{"tips have one form", "edge/tips/document.go",
			"return err == nil && bytes.Equal(text, line)", "return err == nil && bytes.Equal(text, text)", tips},
		{"a stop writes the end of its log down", "edge/agent/agent.go",
			"a.tips.addEnded(a.cfg.Gateway, a.store, a.session.AckedOffsets())", "_ = a.tips", gateway},
		{"a start writes down where a log ended that was killed", "edge/agent/tips.go",
			"\tt.addEnded(was, store, acked)\n", "\t_, _ = was, acked\n", gateway},
		{"what the cloud has of a log is noted before it is released", "edge/forward/session.go",
			"s.cfg.Settled(l.ID, next)", "_ = next", gateway},
		{"a damaged book of tips is kept", "edge/agent/tips.go",
			"t.fs.Rename(t.path, aside); err == nil", "t.fs.Remove(t.path); err == nil", gateway},
		{"a log that moves while it is read is read again", "edge/agent/tipsdoc.go",
			"moving = moving || found[i].Chain == \"\"", "", []string{"-count=40", "-run", "TipsBeside", "./edge/agent"}},
		{"the last lines of a file that was copied aside are read there", "edge/source/file.go",
			"old, err := f.openRotated(r.position())", "old, err := (*fileReader)(nil), error(nil)", []string{"-run", "FileRotated", "./edge/source"}},
	}
}
