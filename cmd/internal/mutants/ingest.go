package main

// ingestMutants are of the bounds at the engine's ingest, and of the table that states
// all bounds.
func ingestMutants() []mutant {
	kept := []string{"-run", "RememberedOfAGateway|GatewaysRemembered", "./engine/ingest"}
	told := []string{"-run", "ToldOfAnError", "./engine/ingest"}
	way := []string{"-run", "WhoGivesWay", "./engine/ingest"}
	doc := []string{"-run", "TestBound", "./cmd/internal/archtest"}
	return []mutant{
		{"headers together are bounded", "engine/server/server.go",
			"MaxHeaderBytes: wire.MaxHeaderBytes,", "MaxHeaderBytes: 1 << 20,", []string{"-run", "HeadersTogether", "./engine/server"}},
		{"gateways remembered are bounded", "engine/ingest/ingest.go",
			"if len(h.gateways) < keptGateways {", "if len(h.gateways) < 2*keptGateways {", kept},
		{"a gateway that is connected is not forgotten", "engine/ingest/ingest.go",
			"		idle := g.users == 0\n", "		idle := name != \"\"\n", kept},
		{"ends of blocks remembered are bounded", "engine/ingest/gateway.go",
			"if len(g.ends) == keptBoundaries {", "if len(g.ends) == 2*keptBoundaries {", kept},
		{"contradictions remembered are bounded", "engine/ingest/gateway.go",
			"if len(g.conflicts) >= keptConflicts {", "if len(g.conflicts) >= 2*keptConflicts {", kept},
		{"logs remembered are bounded", "engine/ingest/gateway.go",
			"if len(g.before) > keptLogs {", "if len(g.before) > 2*keptLogs {", kept},
		{"repeats remembered are bounded", "engine/ingest/gateway.go",
			"len(g.resends) >= keptResends {", "len(g.resends) >= 2*keptResends {", kept},
		{"an error remembered of a gateway is cut", "engine/ingest/session.go",
			"text[:min(len(text), maxErrorBytes)]", "text", told},
		{"a content type is cut before it is told", "edge/wire/header.go",
			"fmt.Errorf(\"content type %s: %w\", Cut(t), ErrMalformed)", "fmt.Errorf(\"content type %q: %w\", t, ErrMalformed)", told},
		{"a content encoding is cut before it is told", "edge/wire/header.go",
			"fmt.Errorf(\"content encoding %s: %w\", Cut(e), ErrNotZstd)", "fmt.Errorf(\"content encoding %q: %w\", e, ErrNotZstd)", told},
		{"a trusted header is cut before it is told", "engine/ingest/identity.go",
			"wire.Cut(got)", "got", told},
		{"who brings little gives way after a slice", "engine/ingest/places.go",
			"return w, more > 1 || w.held >= h.cfg.Slice", "return w, more > 1", []string{"-run", "CertificatesAlone", "./engine/ingest"}},
		{"who has two places more gives way at once", "engine/ingest/places.go",
			"return w, more > 1 || w.held", "return w, w.held", []string{"-run", "NamesOfOneHost", "./engine/ingest"}},
		{"who has one place more keeps it for a slice", "engine/ingest/places.go",
			"return w, more > 1 ||", "return w, more > 0 ||", way},
		{"nobody gives way to whoever has as many", "engine/ingest/places.go",
			"more < 1 && !own", "false && !own", way},
		{"a client takes turns with itself", "engine/ingest/places.go",
			"more < 1 && !own", "more < 1 || more < -9 && own", way},
		{"who stands still goes before who has most", "engine/ingest/places.go",
			"cmp.Or(cmp.Compare(a.still, b.still), cmp.Compare(a.places, b.places),", "cmp.Or(cmp.Compare(a.places, b.places), cmp.Compare(a.still, b.still),", way},
		{"who has most goes before who has it longest", "engine/ingest/places.go",
			"cmp.Compare(a.places, b.places), cmp.Compare(a.held, b.held))", "cmp.Compare(a.held, b.held), cmp.Compare(a.places, b.places))", way},
		{"who gives way does not count any more", "engine/ingest/places.go",
			"	h.leaves(out)\n", "", way},
		{"who gives way counts no less when it ends", "engine/ingest/places.go",
			"	s.gone = true\n", "", way},
		{"nobody gives way twice", "engine/ingest/places.go",
			"s.body.cutting() || more", "more", way},
		{"a name that is not proved has the places of its host", "engine/ingest/places.go",
			"	if proved {\n", "	if proved || gateway != \"\" {\n", []string{"-run", "NamesOfOneHost|WhoAClient", "./engine/ingest"}},
		{"a host of IPv6 has a network", "engine/ingest/places.go",
			"host.Prefix(64)", "host.Prefix(128)", []string{"-run", "WhoAClient", "./engine/ingest"}},
		{"a bound of the page is that of the code", "edge/wire/header.go",
			"const MaxHeaderBytes = 32 << 10", "const MaxHeaderBytes = 33 << 10", doc},
	}
}
