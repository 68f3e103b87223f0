package main

// boundMutants are of what bounds that which a stranger chooses, and of whom is
// believed.
func boundMutants() []mutant {
	logger := []string{"-run", "EverNewNames", "./cmd/internal/cli"}
	headers := []string{"-run", "HeadersAreBounded", "./edge/wire"}
	identity := []string{"-run", "Mistake", "./engine/server"}
	return []mutant{
		{"lines of one text are bounded, whatever they are of", "cmd/internal/cli/logger.go",
			"case all.shown == textShown:", "case all.shown < 0:", logger},
		{"what tells messages apart is cut", "cmd/internal/cli/logger.go",
			"value[:min(len(value), repeatKeyBytes)]", "value", logger},
		{"control characters do not reach a terminal", "cmd/internal/cli/terminal.go",
			"!unicode.IsControl(r) && ", "", []string{"-run", "Terminal", "./cmd/internal/cli"}},
		{"a terminal is known", "cmd/internal/cli/terminal.go",
			"	return &terminal{to: f}", "	return f", []string{"-run", "Terminal", "./cmd/internal/cli"}},
		{"a name that is too long is not kept", "edge/wire/header.go",
			"if len(from.Get(HeaderGateway)) <= MaxGatewayBytes {", "if len(from.Get(HeaderGateway)) < 1<<30 {", headers},
		{"what a stranger sent is cut before it is told", "edge/wire/header.go",
			"	if len(text) > 64 {", "	if len(text) > 1<<30 {", headers},
		{"a header of the protocol stands once", "edge/wire/header.go",
			"len(values) > 1 && strings.HasPrefix", "len(values) > 2 && strings.HasPrefix", headers},
		{"a trusted header stands once", "engine/ingest/identity.go",
			"len(got) > 1 {", "len(got) > 9 {", []string{"-run", "TrustedHeaderStandsOnce", "./engine/ingest"}},
		{"a watermark of the future is not taken", "engine/operator/doc.go",
			"watermark > landedAt+maxWatermarkAhead", "watermark > landedAt+1000*maxWatermarkAhead", []string{"-run", "Watermark", "./engine/task"}},
		{"a watermark of the future is withdrawn", "engine/task/process.go",
			"	g.Watermark = record.NoTime\n}\n\n// watermark takes", "}\n\n// watermark takes", []string{"-run", "Watermark", "./engine/task"}},
		{"a gateway's windows are bounded", "engine/operator/window.go",
			"return n <= MaxOpenWindows && ", "return ", []string{"-run", "WindowsAreBounded", "./engine/operator"}},
		{"windows that close make room", "engine/operator/window.go",
			"	g.n -= len(keys)\n", "", []string{"-run", "WindowsAreBounded", "./engine/operator"}},
		{"rows made before a panic are taken back", "engine/operator/decode.go",
			"			out.CutTyped(before)\n", "			_ = before\n", []string{"-run", "APanic", "./engine/operator"}},
		{"a panic ends its task alone", "engine/stream/recover.go",
			"if r := recover(); r != nil {", "if r := any(nil); r != nil {", []string{"-run", "APanic", "./engine/task"}},
		{"a body that stands still gives way", "engine/ingest/places.go",
			"	if (full || kept) && !h.makeRoom(s.client, now, kept) {", "	if full || kept {", []string{"-run", "StalledBody", "./engine/ingest"}},
		{"nobody gives way to who is over a bound of its own", "engine/ingest/places.go",
			"if err := g.bounded(&h.cfg); err != nil {", "if err := g.bounded(&h.cfg); err != nil && (len(h.sessions) < h.cfg.MaxSessions || !h.makeRoom(s.client, h.now(), false)) {", []string{"-run", "NobodyGivesWay", "./engine/ingest"}},
		{"a body that stands still is told why it was ended", "engine/ingest/session.go",
			"	case gaveWay != \"\":", "	case gaveWay == \"-\":", []string{"-run", "StalledBody", "./engine/ingest"}},
		{"a place is handed to whoever waits", "engine/ingest/places.go",
			"		close(next.turn)\n", "", []string{"-run", "StalledBody", "./engine/ingest"}},
		{"a byte now and then is no progress", "engine/ingest/gateway.go",
			"b.got >= progress", "b.got > 0", []string{"-run", "Drips", "./engine/ingest"}},
		{"certificates are not made optional", "engine/server/config.go",
			"p.Add(!certificates || !c.Unauthenticated,", "p.Add(true,", identity},
		{"a proxy's header is not made optional", "engine/server/config.go",
			`p.Add(c.TrustedHeader == "" || !c.Unauthenticated,`, "p.Add(true,", identity},
		{"a header of the protocol is no proxy's", "engine/server/config.go",
			"!strings.HasPrefix(name, wire.HeaderPrefix)", "name != wire.HeaderPrefix", identity},
		{"a proxy is not nearly everybody", "engine/server/config.go",
			"prefix.Bits() >= 8", "prefix.Bits() >= 0", identity},
	}
}
