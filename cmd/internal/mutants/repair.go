package main

// repairMutants are about an engine beside a repair, and about what a repair
// takes for its own.
func repairMutants() []mutant {
	checkpoint, server := []string{"-run", "Repair", "./engine/checkpoint"}, []string{"-timeout", "20s", "-run", "Repair", "./engine/server"}
	return []mutant{
		{"a task that a repair fenced claims again", "engine/server/supervise.go",
			"case permanent(err) && !taken && !repaired:", "case permanent(err) && !taken:", server},
		{"a task does not claim again after another claim", "engine/checkpoint/repaired.go",
			"err == nil && hash(data) != want {", "err == nil && want == \"\" {", checkpoint},
		{"two repairs after each other are seen through", "engine/checkpoint/repaired.go",
			"		want = m.Previous\n", "		return false, nil\n", checkpoint},
		{"a claim that a repair was faster than is made again", "engine/checkpoint/repaired.go",
			"		claim = c.from\n", "", checkpoint},
	}
}
