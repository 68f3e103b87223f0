package main

// fairMutants are the bounds that keep one client, sender or gateway from taking
// what is the others', and who may read the local pages.
func fairMutants() []mutant {
	page := []string{"-run", "Host|Taps|Closed", "./edge/page"}
	places := []string{"-timeout", "60s", "-run", "Place|Silent|Idle|Names|Refused", "./edge/source"}
	waiting, udp := []string{"-run", "Flood|Equal|NewStreams|ASender|WaitingIsBounded", "./edge/capture"}, []string{"-run", "UDP", "./edge/source"}
	return []mutant{
		{"what waits for partners is bounded", "edge/capture/share.go",
			"if c.cfg.Replay || c.waitingSize() <= maxWaitingBytes {", "if c.cfg.Replay || c.waitingSize() <= 1<<40 {", waiting},
		{"whoever takes most gives up its own", "edge/capture/share.go",
			"return c.byID[id].owner() == taker.owner })", "return c.byID[id] != nil })", waiting},
		{"the source that takes most gives up", "edge/capture/share.go",
			"if most == nil || most.source != t.source {", "if most == nil || most.owner != t.owner {", waiting},
		{"a contested key takes its part", "edge/capture/share.go",
			"return c.waitingBytes + slotBytes*(", "return c.waitingBytes + 0*slotBytes*(", waiting},
		{"a sender's ports are one sender", "edge/capture/share.go",
			"return at.Addr().Unmap().String()", "return at.String()", waiting},
		{"a fragment that is given up early says so", "edge/capture/share.go",
			"	c.crowded = record.FlagCrowded\n", "	c.crowded = 0 * record.FlagCrowded\n", waiting},
		{"equal shares are given up in order", "edge/capture/share.go",
			"return cmp.Or(cmp.Compare(a.source, b.source), strings.Compare(a.sender, b.sender))", "return cmp.Or(cmp.Compare(a.source, b.source), 0*strings.Compare(a.sender, b.sender))", waiting},
		{"new streams have their own source forget", "edge/capture/capturer.go",
			"func(s *Stream) bool { return s.source == source }", "func(s *Stream) bool { return s != nil }", waiting},
		{"a contested stream is not forgotten", "edge/capture/capturer.go",
			"c.live.OpenOf(s.id)+c.resent.OpenOf(s.id) == 0", "len(s.held) == 0", waiting},
		{"ports of one host push out no other's line", "edge/source/udp.go",
			"if u.hosts[from.Addr()] == most && (found == nil || s.mono < found.mono) {", "if found == nil || s.mono < found.mono {", udp},
		{"a client that never sent a byte gives way first", "edge/source/slots.go",
			"	if found != nil {\n", "	if found != nil && n > 1<<40 {\n", places},
		{"a client that sends keeps its place", "edge/source/slots.go",
			"if silent < int64(replaceableAfter) || ", "if silent < 0 || ", places},
		{"a host takes its part of the places", "edge/source/slots.go",
			"case n >= s.perHost:", "case n >= s.perHost+1<<40:", places},
		{"the places are bounded", "edge/source/slots.go",
			"case len(s.clients) >= s.max:", "case len(s.clients) >= s.max+1<<40:", places},
		{"a client that is silent for too long ends", "edge/source/tcpserver.go",
			"		conn.idle.Store(int64(s.idle))\n", "", places},
		{"a name alone takes no place", "edge/source/acked.go",
			"	delete(a.senders, mark)\n", "", places},
		{"what is not durable is not counted as captured", "edge/capture/livestatus.go",
			"	if g.builder.Count() == 0 {\n", "	if g.builder != nil {\n", []string{"-run", "BlockedLogWaits", "./edge/capture"}},
		{"a page is not answered under a stranger's name", "edge/page/page.go",
			"Handler: c.Access.hosts(mux)", "Handler: mux", page},
		{"a host is compared whole", "edge/page/access.go",
			`host == "localhost"`, `strings.HasPrefix(host, "localhost")`, page},
		{"taps are bounded", "edge/page/access.go",
			"if a.taps.Add(1) > MaxTaps {", "if a.taps.Add(1) > MaxTaps+1<<40 {", page},
	}
}
