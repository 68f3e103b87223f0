package main

// ackedMutants are of the acknowledged protocol: what is acknowledged was captured.
func ackedMutants() []mutant {
	epochs := []string{"-run", "Acked", "./edge/source"}
	strangers := []string{"-run", "AckedRefusesStrangers|AckedEpochRefuses|AckedSendersOfVersion2", "./edge/source"}
	crashed := []string{"-run", "AckedEpochsAtRandom|AckedCrashedAnywhere", "./edge/source", "./edge/capture"}
	return []mutant{
		{"other bytes under a number that was passed are no repeat", "edge/source/ackedepoch.go",
			"	case ring.has(digest):", "	case ring.has(digest) || f.seq <= ring.last:", epochs},
		{"what was passed is not taken", "edge/source/ackedepoch.go",
			"	case f.seq <= ring.last:", "	case false:", epochs},
		{"a repeat is known", "edge/source/ackedepoch.go",
			"	case ring.has(digest):", "	case false:", epochs},
		{"a digest is of the bytes", "edge/source/ackedring.go",
			`f.seq), f.line)`, `f.seq), nil)`, epochs},
		{"a digest is of the epoch", "edge/source/ackedring.go",
			`fmt.Sprintf("%s %d", epoch, f.seq)`, `fmt.Sprintf("%s %d", "", f.seq)`, epochs},
		{"an epoch begins its numbers", "edge/source/ackedring.go",
			"		r.epoch, r.last = epoch, 0", "		r.epoch = epoch", epochs},
		{"what is known is acknowledged after C1", "edge/source/ackedepoch.go",
			"l.due[0].batch <= durable", "l.due[0].batch <= durable+1", epochs},
		{"as many lines are remembered as may be on the way", "edge/source/ackedring.go",
			"ackedChunks      = ackedWindow/ackedChunk + 1", "ackedChunks      = ackedWindow / ackedChunk / 2", crashed},
		{"digests are read from marks", "edge/source/ackedring.go",
			"			r.ring[n] = append(r.ring[n], binary.LittleEndian.Uint64(digests))\n", "", crashed},
		{"a batch touches one mark", "edge/source/ackedepoch.go",
			"		if ring.full() {", "		if false {", epochs},
		{"numbers rise on a connection", "edge/source/ackedepoch.go",
			"f.seq <= l.seq", "false", epochs},
		{"lines on the way are bounded", "edge/source/ackedepoch.go",
			">= ackedWindow {", ">= 100*ackedWindow {", strangers},
		{"senders of version 2 are bounded", "edge/source/acked.go",
			"a.epochs >= maxEpochSenders", "a.epochs < 0", strangers},
		{"the versions of an id are two senders", "edge/source/acked.go",
			"	if epochs {\n		mark += \"/\"", "	if epochs {\n		mark += \"\"", epochs},
		{"only those that are allowed may connect", "edge/source/tcpserver.go",
			"		if !l.allows(conn) {", "		if false {", strangers},
		{"a token is compared", "edge/source/acked.go",
			"ConstantTimeCompare(got[:], want[:]) == 1", "ConstantTimeCompare(got[:], want[:]) >= 0", strangers},
		{"version 1 has no token", "edge/source/acked.go",
			"a.cfg.MinVersion == 2 || a.cfg.Token != nil", "a.cfg.MinVersion == 2", strangers},
		{"version 1 can be refused", "edge/source/acked.go",
			"a.cfg.MinVersion == 2 || a.cfg.Token != nil", "a.cfg.Token != nil", strangers},
		{"version 1 is not said to be exact", "cmd/internal/explain/edge.go",
			"		h.Guarantee = AtMostOnce\n		h.Limits = append(h.Limits, \"senders of version 1", "		h.Limits = append(h.Limits, \"senders of version 1",
			[]string{"-run", "Version1", "./cmd/internal/explain"}},
	}
}
