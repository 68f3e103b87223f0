package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/table"
)

// slowAccount is the account of one log by the obvious way: every row in maps.
type slowAccount struct {
	Captured, Recorded, Rejected, InLoss, Missing, Duplicated, Expected, Found uint64
	TypedOK                                                                    bool
}

// slow accounts for one log of the batches, closed at end when that is not 0.
func slow(e []*table.Batch, log string, end uint64) slowAccount {
	var a slowAccount
	seen := make(map[record.Offset]int)
	typed := make(map[string]int)
	lost := make(map[record.Offset]bool)
	take := func(l table.Lineage) {
		if l.Log == log {
			a.Found++
			typed[fmt.Sprint(l.Offset, l.Row, l.Rows)]++
		}
	}
	for _, b := range e {
		for _, r := range b.Records {
			if r.Log != log {
				continue
			}
			a.Recorded++
			seen[r.Offset]++
			a.Captured = max(a.Captured, uint64(r.Offset)+1)
			if r.RejectReason != "" {
				a.Rejected++
			}
			for i := range r.Rows {
				a.Expected++
				typed[fmt.Sprint(r.Offset, i, r.Rows)]--
			}
		}
		for _, r := range b.Positions {
			take(r.Lineage)
		}
		for _, r := range b.Statics {
			take(r.Lineage)
		}
		for _, r := range b.Readings {
			take(r.Lineage)
		}
		for _, r := range b.Losses {
			if r.Log == log {
				for o := r.Offset; o < r.Offset+record.Offset(r.Count); o++ {
					lost[o] = true
				}
				a.Captured = max(a.Captured, uint64(r.Offset)+r.Count)
			}
		}
	}
	a.Captured = max(a.Captured, end)
	for o := range record.Offset(a.Captured) {
		switch n := seen[o]; {
		case n > 0:
			a.Duplicated += uint64(n - 1)
		case lost[o]:
			a.InLoss++
		default:
			a.Missing++
		}
	}
	a.TypedOK = true
	for _, n := range typed {
		a.TypedOK = a.TypedOK && n == 0
	}
	return a
}

// TestAgreesWithSlowModel damages lakes at random and compares every count.
func TestAgreesWithSlowModel(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		e := twoLogs()
		for range rng.IntN(6) {
			damage(rng, e[rng.IntN(len(e))])
		}
		dir, _ := writeLake(t, e...)
		r := runAudit(t, Config{Lake: dir})
		for _, l := range r.Logs {
			end := uint64(0)
			if l.Closed {
				end = 100
			}
			want := slow(e, l.Log, end)
			got := slowAccount{l.Captured, l.Recorded, l.Rejected, l.InLoss, l.Missing, l.Duplicated, l.TypedExpected, l.TypedFound, l.TypedWrong == 0}
			if got != want {
				t.Errorf("seed %d log %.4s: audit %+v, model %+v", seed, l.Log, got, want)
			}
		}
	}
}

// damage changes a batch in one random way.
func damage(rng *rand.Rand, b *table.Batch) {
	if len(b.Records) == 0 || len(b.Positions) == 0 || len(b.Statics) == 0 {
		return
	}
	i, j := rng.IntN(len(b.Records)), rng.IntN(len(b.Positions))
	switch rng.IntN(9) {
	case 0:
		b.Records = slices.Delete(b.Records, i, min(i+1+rng.IntN(5), len(b.Records)))
	case 1:
		b.Records = append(b.Records, b.Records[i])
	case 2:
		b.Positions = slices.Delete(b.Positions, j, j+1)
	case 3:
		b.Positions = append(b.Positions, b.Positions[j])
	case 4:
		b.Records[i].Rows = int32(rng.IntN(4))
	case 5:
		b.Positions[j].Row++
	case 6:
		addLoss(b, record.Offset(rng.IntN(100)), uint64(rng.IntN(20)))
	case 7:
		b.Statics = b.Statics[1:]
	case 8:
		if len(b.Readings) > 0 {
			b.Readings = b.Readings[1:]
		}
	}
}
