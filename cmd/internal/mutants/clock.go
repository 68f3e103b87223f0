package main

// clockMutants are the vetoes by which nobody captures a gateway's clock: who is
// believed over whom, what is kept, and who says whether a certificate is valid.
func clockMutants() []mutant {
	model, states := []string{"-run", "TestModelOfTime", "./edge/clock"}, []string{"-run", "TestNoState|Version1", "./edge/clock"}
	order := []string{"-run", "TestModelInEveryOrder", "./edge/clock"}
	boots, refuted := []string{"-run", "Boot|Answer|OfTheFuture", "./edge/clock"}, []string{"-run", "GoesAlong|WatermarksFollow", "./edge/capture"}
	veto := []string{"-skip", "TestModel|TestNoState", "./edge/clock"}
	strangers := []string{"-run", "Strangers|Satellite", "./edge/capture"}
	const anchors = "edge/clock/anchors.go"
	const choose, observer, echoes, report = "edge/clock/choose.go", "edge/clock/observer.go", "edge/clock/echoes.go", "edge/clock/report.go"
	return []mutant{
		{"what is authenticated goes before all strangers", choose, "if ref, ok := e.authority(mono); ok {", "if ref, ok := e.authority(mono); ok && mono < 0 {", model},
		{"strangers refine what is authenticated within its uncertainty", choose, "if c.u < fine.u && c.agrees(&d.candidate) {", "if c.u < fine.u {", veto},
		{"strangers walk no authenticated clock", choose, "candidate{kind: KindHost, observer: Local, point: e.ref.Offset,", "candidate{kind: KindHost, observer: Local, point: e.current.Offset,", veto},
		{"what is authenticated is held for the boot", choose, "} else if e.ref.Known {", "} else if e.ref.Known && mono < 0 {", veto},
		{"of two authenticated times the earlier is believed", choose, "if c.point < d.point {", "if c.point > d.point {", model},
		{"two authenticated times that disagree are asserted", choose, "e.split, d.quality = true, record.QualityAsserted", "e.split = true", model},
		{"one base station tells no date", choose, "len(tellers) == 1 && tellers[0].kind != KindBase:", "len(tellers) == 1:", model},
		{"a base station that contradicts the day leaves none", choose, "if e.candidates[i].refused == LoneStation {", "if e.candidates[i].refused == refusals {", model},
		{"one who tells the date is no proof", choose, "case len(tellers) >= 2 && bits", "case len(tellers) >= 1 && bits", model},
		{"strangers must agree in kind", choose, "bits.OnesCount8(uint8(kinds)) >= 2", "bits.OnesCount8(uint8(kinds)) >= 1", model},
		{"whoever contradicts himself is no proof", choose, "&& !c.contested():", ":", model},
		{"whoever contradicts himself has no vote", choose, "if !m.contested() { //", "if m.dated { //", model},
		{"a time against which as many speak is asserted", choose, "if b.level == record.BasisRadio && !contradicted {", "if b.level == record.BasisRadio {", model},
		{"the engine's plain word contradicts", choose, "contradicted = contradicted || plain ||", "contradicted = contradicted || plain && false ||", model},
		{"no stranger jumps ahead of the engine's word", choose, "p.kind == KindCloud && offset-p.point > day", "p.kind == KindCloud && offset-p.point > 1<<60", model},
		{"what strangers said does not stand against a jump", choose, " && !e.jumped(was.Offset) {", " {", order},
		{"one word moves nothing that strangers agreed on", choose, "if !agrees && mono-e.backed < backedFor &&", "if !agrees && mono < 0 &&", veto},
		{"what strangers said ends when they are silent", choose, "if !agrees && mono-e.backed < backedFor &&", "if !agrees &&", veto},
		{"a time of day that contradicts ends what strangers said", choose, "			e.current = Estimate{}\n			return\n", "			return\n", veto},
		{"a time against the machine's clock waits for others", choose, "(mono-e.since < unopposedFor || d.lone", "(mono < 0 || d.lone", model},
		{"a time behind the machine's clock may be late", choose, "|| d.lone && g.later(&d.candidate)) {", ") {", strangers},
		{"ties never go to the later time", observer, "	return a < b\n}", "	return a > b\n}", model},
		{"ties go to the machine's clock", observer, "		return wa\n", "		return wb\n", model},
		{"a time of day is none for a day", choose, "case len(tellers) >= 2 && bits", "case c.clocks >= 2 && bits", model},
		{"a station is one through every source", observer, "			t.observer = -1\n", "", veto},
		{"traffic of one ship is no witness", observer, "case families[h.kind] == ofTraffic && !h.several(mono-m.lasts):", "case families[h.kind] == ofTraffic && mono < 0:", veto},
		{"a station that says two things as often is not heard", observer, "if m.period == 0 && 2*c.n <= c.of {", "if m.period == 0 && 2*c.n < c.of {", veto},
		{"of equal clusters the earliest counts", "edge/clock/samples.go", "if j-i > best.n {", "if j-i >= best.n {", veto},
		{"a constant delay is found by what two sources share", echoes, "ok && lag >= KnownDelay", "ok && lag >= 1<<60", strangers},
		{"a source whose seconds lie anywhere delays", echoes, "return o.scattered || ok", "return ok", veto},
		{"what a source said that is found to delay is not held", choose, "if e.disown(mono) || e.dayInDoubt() {", "if e.dayInDoubt() {", veto},
		{"a small delay is added", echoes, "c.point, c.u = c.point+lag,", "c.point, c.u = c.point+0*lag,", veto},
		{"what is remembered of transmissions is bounded", echoes, "		delete(e.at, e.ring[e.next])\n", "", veto},
		{"of strangers nothing outlives the process", report, "	if !a.Basis.Authenticated() {\n		return\n	}\n", "", states},
		{"forgetting drops what is believed", report, "	*e = Estimator{\n", "	_ = Estimator{\n", states},
		{"only what is told now judges before the machine's clock", report, "case r.Authority.Known && r.Live:", "case r.Authority.Known:", veto},
		{"a clock before what the engine proved judges nothing", report, "wall >= max(floor, r.Proven):", "wall >= floor:", veto},
		{"strangers are weak judges", report, "return max(utc, floor), true", "return max(utc, floor), false", states},
		{"strangers judge only where the engine never proved", report, "	case r.Proven > 0:\n		return max(r.Proven, floor), false\n", "", veto},
		{"only the proven word of the engine is a floor", "edge/clock/estimator.go", "		if v.Trusted {\n			e.proven", "		if v.UTC > 0 {\n			e.proven", veto},
		{"the engine may say less than it proved", "edge/clock/estimator.go", "if v.Kind == KindHost || v.Kind == KindCloud && v.Trusted {", "if v.Kind == kinds {", states},
		{"a date just below the floor has not rolled over", "edge/clock/estimator.go", "if at-e.floor >= maxUnrolled {", "if at-e.floor >= 1<<60 {", veto},
		{"a stranger's boot replaces no authenticated one", anchors, "case contradicts && next.Basis < was.Basis && was", "case contradicts && next.Basis < 0 && was", veto},
		{"of a boot strangers' word is asserted after a restart", anchors, "if x := &a.all[i]; !x.Basis.Authenticated() {", "if x := &a.all[i]; x.Basis > record.BasisEngine {", boots},
		{"a stranger's boot follows what is believed", anchors, "next.Basis < was.Basis && was.Basis.Authenticated():", "next.Basis < was.Basis:", boots},
		{"a stranger's boot is worth no more than what is believed", anchors, "case !was.Basis.Authenticated() && next.Quality < was.Quality:", "case !was.Basis.Authenticated() && next.Quality < 0:", boots},
		{"a stranger's boot ends with what is believed", anchors, "!ok || !a.heard || x", "!ok || a.heard || x", boots},
		{"strangers' word of a boot of the future is withdrawn", anchors, "x.UTC > now.UTC+record.Micros(", "x.UTC > 1<<60+record.Micros(", boots},
		{"what is proven counts before it is judged", anchors, "	case v.Trusted:\n", "	case v.Trusted && d < 0:\n", boots},
		{"a plain word counts before it is judged", anchors, "	case d > day:\n", "	case d > 1<<60:\n", boots},
		{"a plain word that contradicts makes asserted", anchors, "case max(d, -d) > x.Uncertainty+c.u+worthTelling:", "case max(d, -d) > 1<<60:", boots},
		{"what goes along heeds the answer before", "edge/capture/timekeeper.go", "for i := range told {", "for i := range told[:0] {", refuted},
		{"watermarks follow what is believed", "edge/capture/group.go", "		g.marks.Withdraw(latest)\n", "		_ = latest\n", refuted},
		{"a source's watermark of the future is withdrawn", "edge/clock/watermark.go", "if s := &w.sources[i]; s.at > latest {", "if s := &w.sources[i]; s.at > 1<<60+latest {", boots},
		{"a gateway's watermark of the future is withdrawn", "edge/clock/watermark.go", "if w.gateway > latest {", "if w.gateway > 1<<60+latest {", boots},
		{"what version 1 kept is nobody's word", "edge/record/anchor.go", "		if based {\n			a.Basis = Basis(f.Byte())\n		}", "		if a.Basis = BasisEngine; based {\n			a.Basis = Basis(f.Byte())\n		}", []string{"-run", "Kept", "./edge/record"}},
		{"strangers end no link", "edge/certs/verify.go", "expired(err) && k.cfg.Weak != nil && k.cfg.Weak()", "expired(err) && k.cfg.Weak == nil", []string{"-run", "Strangers", "./edge/certs"}},
		{"an expired certificate is expired by the machine's clock", "edge/certs/verify.go", "k.cfg.Weak != nil && k.cfg.Weak() &&", "k.cfg.Weak != nil &&", []string{"-run", "Strangers", "./edge/certs"}},
		{"the engine proves no time beyond the gateway's own certificate", "edge/agent/clock.go", "&& !at.After(own.Leaf.NotAfter)", "", []string{"-run", "EngineProves", "./edge/agent"}},
		{"plain HTTP proves nothing", "edge/agent/clock.go", "\"https:\") {\n		return false", "\"https:\") {\n		return true", []string{"-run", "EngineProves", "./edge/agent"}},
		{"the wish to forget goes after it is durable", "edge/capture/live.go", "!said || !g.timing.forgot ||", "!said && g.timing.forgot ||", []string{"-run", "Forgotten", "./edge/capture"}},
		{"the clock is forgotten once", "edge/capture/timekeeper.go", "if k.forgot || k.wanted == nil ||", "if k.wanted == nil ||", []string{"-run", "Forgotten", "./edge/capture"}},
		{"what is kept is forgotten too", "edge/capture/timekeeper.go", "	k.anchors.Forget()\n", "", []string{"-run", "Forgotten", "./edge/capture"}},
	}
}
