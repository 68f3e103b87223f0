package state

import (
	"testing"
)

const benchKeys = 1 << 20

func benchTable(b *testing.B) pair {
	b.Helper()
	p := newPair(b)
	for k := range uint64(benchKeys) {
		p.a.Put(k*0x9e3779b97f4a7c15, "0123456789abcdef0123456789abcdef")
	}
	return p
}

func BenchmarkGet(b *testing.B) {
	p := benchTable(b)
	k := uint64(0)
	for b.Loop() {
		k = (k + 12345) % benchKeys
		p.a.Get(k * 0x9e3779b97f4a7c15)
	}
}

func BenchmarkPut(b *testing.B) {
	p := benchTable(b)
	k := uint64(0)
	for b.Loop() {
		k = (k + 12345) % benchKeys
		p.a.Put(k*0x9e3779b97f4a7c15, "x")
	}
}

// BenchmarkRestore reports the time to resume with 1 M keys in a full chain.
func BenchmarkRestore(b *testing.B) {
	p := benchTable(b)
	var chain [][]byte
	for round := range 2 * MaxChain {
		object, keep := p.state.Snapshot()
		chain = extend(chain, object, keep)
		for k := range uint64(10000) {
			p.a.Put((k+uint64(round)*10000)*0x9e3779b97f4a7c15, "0123456789abcdef0123456789abcdef")
		}
	}
	b.ResetTimer()
	for b.Loop() {
		restored(b, chain)
	}
	b.ReportMetric(benchKeys, "keys")
	b.ReportMetric(float64(len(chain)), "objects")
}

// BenchmarkSnapshot reports the pause of a task with 1 M keys, 10,000 changed.
func BenchmarkSnapshot(b *testing.B) {
	p := benchTable(b)
	p.state.Snapshot()
	round := uint64(0)
	for b.Loop() {
		b.StopTimer()
		round++
		for k := range uint64(10000) {
			p.a.Put(((k+round*10000)%benchKeys)*0x9e3779b97f4a7c15, "0123456789abcdef0123456789abcdef")
		}
		b.StartTimer()
		p.state.Snapshot()
	}
}
