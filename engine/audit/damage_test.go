package audit

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// TestDamagedFilesNeverEndTheAudit flips bits and overwrites bytes of files.
// The audit always ends with a result, and what it then calls exact has the
// same counts as before (the damage hit what is not read).
func TestDamagedFilesNeverEndTheAudit(t *testing.T) {
	dir, staged := writeLake(t, twoLogs()...)
	before := runAudit(t, Config{Lake: dir})
	rounds := 100
	if os.Getenv("LANDFALL_SOAK") == "1" {
		rounds = 6000
	}
	for _, of := range []table.Name{table.Record, table.AISPosition} {
		i := slices.IndexFunc(staged[0], func(s stream.Staged) bool { return s.Table == of })
		path := filepath.Join(dir, staged[0][i].Target)
		whole, err := os.ReadFile(path)
		check(t, err)
		red := 0
		for seed := range rounds {
			rng := rand.New(rand.NewPCG(uint64(seed), 3))
			data := slices.Clone(whole)
			for range 1 + rng.IntN(4) {
				data[rng.IntN(len(data))] ^= byte(1 + rng.IntN(255))
			}
			check(t, os.WriteFile(path, data, 0o644))
			r := runAudit(t, Config{Lake: dir})
			if !r.Exact {
				red++
				continue
			}
			if !slices.EqualFunc(r.Logs, before.Logs, func(a, b Log) bool {
				return a.Captured == b.Captured && a.Recorded == b.Recorded && a.TypedFound == b.TypedFound
			}) {
				t.Errorf("%s seed %d: exact with other counts", of, seed)
			}
		}
		if red < rounds/10 {
			t.Errorf("%s: %d of %d damaged files were seen", of, red, rounds)
		}
		t.Logf("%s: %d of %d damaged files were seen", of, red, rounds)
		check(t, os.WriteFile(path, whole, 0o644))
	}
}
