package main

// ingestMutants are of the bounds at the engine's ingest, and of the table that states
// all bounds.
func ingestMutants() []mutant {
	kept := []string{"-run", "RememberedOfAGateway|GatewaysRemembered", "./engine/ingest"}
	told := []string{"-run", "ToldOfAnError", "./engine/ingest"}
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
		{"a bound of the page is that of the code", "edge/wire/header.go",
			"const MaxHeaderBytes = 32 << 10", "const MaxHeaderBytes = 33 << 10", doc},
	}
}
