package checkpoint

import (
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// story is a claim, two commits, another claim and one more commit.
func story(t *testing.T) []Manifest {
	t.Helper()
	other := stream.ClaimID(strings.Repeat("f", 32))
	first := Manifest{Format: Format, Landing: "l", Partitions: 1, Claim: claimA, Schema: 1}
	h := []Manifest{first}
	add := func(change func(m *Manifest)) {
		last := h[len(h)-1]
		m := last
		m.Unpublished, m.Staged, m.Previous = last.Pending(), nil, hash(encoded(t, last))
		change(&m)
		h = append(h, m)
	}
	next := func(m *Manifest) {
		m.Epoch++
		m.Position.Offset++
		m.Staged = []stream.Staged{output(m.Epoch.String())}
		number := uint64(1)
		if m.Ledger != nil {
			number = m.Ledger.Number + 1
		}
		m.Ledger = &ledger.Tip{Name: ledger.EntryName("l-0000", number, m.Claim), Number: number, SHA256: hashA}
		m.State = append(m.State[:len(m.State):len(m.State)], StateObject{Name: m.Epoch.String(), SHA256: hashA})
	}
	add(next)
	add(next)
	add(func(m *Manifest) { m.Claim = other })
	add(func(m *Manifest) { next(m); m.Unpublished = m.Unpublished[1:] })
	return h
}

func TestCheckHistoryAccepts(t *testing.T) {
	if err := CheckHistory(story(t)); err != nil {
		t.Fatal(err)
	}
}

func TestCheckHistoryFinds(t *testing.T) {
	for what, spoil := range map[string]func(h []Manifest) []Manifest{
		"staged by two manifests": func(h []Manifest) []Manifest { h[4].Staged[0].Name = "1"; return h },
		"no manifest staged it":   func(h []Manifest) []Manifest { h[4].Unpublished[0].Staged = []stream.Staged{output("9")}; return h },
		"does not follow":         func(h []Manifest) []Manifest { h[4].Previous = hashB; return h },
		"went back":               func(h []Manifest) []Manifest { h[4].Position.Offset = 0; return h },
		"forgot outputs":          func(h []Manifest) []Manifest { h[3].Unpublished = h[3].Unpublished[1:]; return h },
		"changed the checkpoint":  func(h []Manifest) []Manifest { h[3].Position.Offset++; return h },
		"another task":            func(h []Manifest) []Manifest { h[4].Partitions = 2; return h },
		"follows epoch":           func(h []Manifest) []Manifest { h[4].Epoch++; return h },
		"the chain of state": func(h []Manifest) []Manifest {
			h[4].State = h[4].State[2:]
			h[4].State = append(h[3].State[:1:1], h[4].State...)
			return h
		},
		"a claim changed the ledger": func(h []Manifest) []Manifest { h[3].Ledger = h[1].Ledger; return h },
		"ledger entry": func(h []Manifest) []Manifest {
			h[4].Ledger = &ledger.Tip{Name: ledger.EntryName("l-0000", 4, h[4].Claim), Number: 4, SHA256: hashA}
			return h
		},
		"unpublished outputs of": func(h []Manifest) []Manifest { h[4].Unpublished[0].Epoch = 1; return h },
		"the first manifest":     func(h []Manifest) []Manifest { return h[1:] },
	} {
		if err := CheckHistory(spoil(story(t))); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
