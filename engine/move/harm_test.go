package move

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// harm is what happens to a landing log, in a place that the plant's seed chooses.
type harm struct {
	name string
	// do harms the landing log of an engine; older is an earlier copy of it.
	do func(p *plant, dir, older string)
	// down says that no engine runs meanwhile.
	down bool
	// kafka says that the landing log is a topic.
	kafka bool
}

func harms() []harm {
	return []harm{
		{name: "a bit", do: func(p *plant, dir, _ string) {
			p.change(p.any(p.segments(dir)), p.flip)
		}},
		{name: "a bit in the last block", do: func(p *plant, dir, _ string) {
			names := p.segments(dir)
			p.change(names[len(names)-1], func(data []byte) []byte {
				data[len(data)-1-p.rng.IntN(min(len(data), 200))] ^= 1 << p.rng.IntN(8)
				return data
			})
		}},
		{name: "a page of zeros", do: func(p *plant, dir, _ string) {
			p.change(p.any(p.segments(dir)), func(data []byte) []byte {
				at := p.rng.IntN(len(data)) &^ 4095
				clear(data[at:min(at+4096, len(data))])
				return data
			})
		}},
		{name: "a segment cut", down: true, do: func(p *plant, dir, _ string) {
			names := p.segments(dir)
			p.change(names[len(names)-1], func(data []byte) []byte { return data[:p.rng.IntN(len(data))] })
		}},
		{name: "a segment gone", down: true, do: func(p *plant, dir, _ string) { p.remove(p.any(p.segments(dir))) }},
		{name: "the newest segment gone", down: true, do: func(p *plant, dir, _ string) {
			names := p.segments(dir)
			p.remove(names[len(names)-1])
		}},
		{name: "the partitions gone", down: true, do: func(p *plant, dir, _ string) {
			names, _ := filepath.Glob(filepath.Join(dir, "p0*"))
			p.remove(names...)
		}},
		{name: "the directory gone", down: true, do: func(p *plant, dir, _ string) { p.remove(dir) }},
		{name: "an older copy put back", down: true, do: func(p *plant, dir, older string) { p.copyDir(dir, older) }},
		{name: "the directory gone and replaced", down: true, do: func(p *plant, dir, _ string) {
			p.remove(dir)
			p.replace("", p.another())
		}},
		{name: "a bit, and what is left is moved", down: true, do: func(p *plant, dir, _ string) {
			p.change(p.any(p.segments(dir)), p.flip)
			p.replace(dir, p.another())
		}},
		{name: "an older copy, and what is left is moved", down: true, do: func(p *plant, dir, older string) {
			p.replace(older, p.another())
		}},
		{name: "the topic made again", kafka: true, down: true, do: func(p *plant, _, _ string) {
			client, err := kgo.NewClient(kgo.SeedBrokers(p.kafka...))
			if err != nil {
				p.t.Fatal(err)
			}
			defer client.Close()
			if _, err := kadm.NewClient(client).DeleteTopic(p.t.Context(), p.is.Place); err != nil {
				p.t.Fatal(err)
			}
			p.replace("", Landing{Kind: Kafka, Partitions: 1 + p.rng.IntN(maxPartitions), Place: p.is.Place})
		}},
		{name: "another topic", kafka: true, down: true, do: func(p *plant, _, _ string) {
			p.replace(p.is.Place, Landing{Kind: Kafka, Partitions: 1 + p.rng.IntN(maxPartitions), Place: "landing-b"})
		}},
	}
}

// flip changes a bit.
func (p *plant) flip(data []byte) []byte {
	data[p.rng.IntN(len(data))] ^= 1 << p.rng.IntN(8)
	return data
}

// another is a directory to which a lake can be moved.
func (p *plant) another() Landing {
	return Landing{Kind: Embedded, ID: "log-b", Partitions: 1 + p.rng.IntN(maxPartitions), Place: filepath.Join(p.dir, "log-b")}
}

// segments lists what is written of a landing log in a directory, oldest first.
func (p *plant) segments(dir string) []string {
	p.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "p0*", "*.seg"))
	if err != nil || len(names) == 0 {
		p.t.Fatalf("no segments in %s: %v", dir, err)
	}
	slices.Sort(names)
	return names
}

func (p *plant) any(names []string) string { return names[p.rng.IntN(len(names))] }

func (p *plant) remove(names ...string) {
	p.t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			p.t.Fatal(err)
		}
	}
}

// change rewrites in place what is written of a file.
func (p *plant) change(name string, change func(data []byte) []byte) {
	p.t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		p.t.Fatal(err)
	}
	end := len(bytes.TrimRight(data, "\x00")) // behind it is room that was made beforehand
	if end == 0 {
		return
	}
	changed := change(data[:end:end])
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = f.WriteAt(changed, 0)
	if len(changed) < end {
		err = errors.Join(err, f.Truncate(int64(len(changed))))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// replace moves the lake to another landing log, which is refused before. The old
// one lies in a directory, or is a topic; empty: it is lost.
func (p *plant) replace(old string, to Landing) {
	p.t.Helper()
	cfg := Config{Store: p.store, Sinks: p.sinks, Lost: old == ""}
	if old != "" {
		log, err := p.openLog(p.is, old)
		if err != nil {
			p.t.Fatal(err)
		}
		defer func() { _ = log.Close() }()
		cfg.Old = log
	}
	log, err := p.openLog(to, to.Place)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	to.ID = log.ID()
	var other *OtherError
	if err := Bind(p.t.Context(), p.store, to); !errors.As(err, &other) {
		p.t.Fatalf("another landing log than the lake's: %v", err)
	}
	cfg.New, cfg.To = log, to
	if _, err := Replace(p.t.Context(), cfg); err != nil {
		p.t.Fatal(err)
	}
	p.is = to
}
