package tampertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/audit"
)

// soak says that the full number of records and of flips is wanted.
func soak() bool { return os.Getenv("LANDFALL_SOAK") == "1" }

// Sizes of the lakes.
const (
	smallRecords = 18_000
	soakRecords  = 100_000
)

// records is how large the lakes are.
func records() int {
	if soak() {
		return soakRecords
	}
	return smallRecords
}

// page holds what TestTampering printed.
const page = "../../../docs/evidence/tampering.md"

// TestTampering asks the audit of a lake that was tampered with, level after
// level, and holds it to the first level that has to find it and to what a
// finding has to name. LANDFALL_WRITE=1 writes the table to docs/evidence.
func TestTampering(t *testing.T) {
	dir := t.TempDir()
	n := records()
	lakes := map[string]*Lake{
		"good": shared.good(t, n),
		"shed": Make(t, filepath.Join(dir, "shed"), Config{Records: n, Shed: true}),
	}
	was := captured{}
	o := others{changed: Make(t, filepath.Join(dir, "other"), Config{Records: n, Change: func(gateway string, log int, offset record.Offset, r *record.Record) {
		was.keep(gateway, log, offset, r)
		change(gateway, log, offset, r)
	}})}
	o.forged = Make(t, filepath.Join(dir, "forged"), Config{Records: n, Change: change, Forge: true})
	o.collided = Make(t, filepath.Join(dir, "collided"), Config{Records: n, Change: was.collision(t, record.LogID{0x10, 2}).change})
	before := map[string]*untouched{}
	for name, l := range lakes {
		before[name] = l.untouched(t)
		for _, c := range checks() {
			if o := before[name].said[c.name]; name == "good" && !o.exact {
				t.Errorf("the good lake at level %s: %+v", c.name, o.findings)
			}
		}
	}
	var rows []row
	all := tamperings(o)
	for _, one := range all {
		t.Run(one.name, func(t *testing.T) {
			b := NewBench(t, lakes[one.of])
			v := one.do(b)
			level, found := b.first(before[one.of])
			if level != one.level {
				t.Errorf("found at level %q, want %q: %+v", level, one.level, found)
			}
			best, lacks := v.named(found)
			if lacks != "" && level != never {
				t.Errorf("no finding names %s: %+v", lacks, found)
			}
			since := level == atTips && !b.asked(b, checkNamed(atSince), before[one.of].earlier).exact
			rows = append(rows, row{one, level, best, since})
		})
	}
	if len(rows) == len(all) { // else -run chose some, or one has failed
		hold(t, rows)
	}
}

// untouched is what the audit says of a lake before it is tampered with.
type untouched struct {
	said    map[string]outcome
	earlier *audit.Result // that --since is given
}

func (l *Lake) untouched(t testing.TB) *untouched {
	t.Helper()
	u := &untouched{said: map[string]outcome{}}
	for _, c := range checks() {
		u.said[c.name] = l.asked(t, c, u.earlier)
		if c.name == atBytes {
			u.earlier = u.said[c.name].result
		}
	}
	return u
}

// first returns the first check that finds what was not there before, and what
// it finds; of the least level what the standard one finds, which knows the
// ledger.
func (b *Bench) first(u *untouched) (string, []audit.Finding) {
	b.Helper()
	for _, c := range checks() {
		o, was := b.asked(b, c, u.earlier), u.said[c.name]
		found := o.beside(was)
		if len(found) == 0 && o.exact == was.exact {
			continue
		}
		if c.name == atOffsets {
			found = b.asked(b, checkNamed(atFiles), nil).beside(u.said[atFiles])
		}
		return c.name, found
	}
	return never, nil
}

// row is a line of the table.
type row struct {
	tampering
	found string
	best  audit.Finding
	since bool // an earlier audit's result tells too
}

// names lists what a finding names, in words that do not depend on the lake.
func names(f audit.Finding) string {
	var all []string
	add := func(there bool, what string) {
		if there {
			all = append(all, what)
		}
	}
	add(f.Task != "", "task")
	add(f.Epoch != 0, "epoch")
	add(f.Table != "", "table")
	add(f.File != "", "file")
	add(f.Gateway != "", "gateway")
	add(f.Log != "", "log")
	add(f.Offsets != "", "offsets")
	add(f.Column != "", "column")
	if len(all) == 0 {
		return "`" + string(f.Kind) + "`"
	}
	return "`" + string(f.Kind) + "`: " + strings.Join(all, ", ")
}

// hold compares the page with the table.
func hold(t *testing.T, rows []row) {
	t.Helper()
	text := render(rows)
	if os.Getenv("LANDFALL_WRITE") == "1" {
		must(t, os.MkdirAll(filepath.Dir(page), 0o755))
		must(t, os.WriteFile(page, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(page)
	must(t, err)
	if soak() && string(want) != text || levelsOf(string(want)) != levelsOf(text) {
		t.Errorf("docs/evidence/tampering.md is not what was found; LANDFALL_WRITE=1 go test -run TestTampering ./cmd/internal/tampertest writes it:\n%s", text)
	}
}

// levelsOf leaves out of a page what its findings name: which of several findings
// names most depends on how large the lake is.
func levelsOf(page string) string {
	var b strings.Builder
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			line = cells[0] + " | " + cells[1] + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

func render(rows []row) string {
	var b strings.Builder
	b.WriteString(head)
	for _, r := range rows {
		found, what := "`"+r.found+"`", names(r.best)
		switch {
		case r.found == never:
			found, what = "it is none: exact at every level", ""
		case r.since:
			found += " or `since`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, found, what)
	}
	b.WriteString("\n## What nobody could know without the gateways' tips\n\n")
	for _, r := range rows {
		if r.found == atTips {
			fmt.Fprintf(&b, "- %s\n", r.name)
		}
	}
	b.WriteString(tail)
	return b.String()
}

const head = `# What the audit finds

A good lake of 100,000 records: two gateways with three logs each, every table, some twenty epochs, several days, made with
the real parts. Each line is one copy of it that was tampered with, the first level of ` + "`landfall-engine audit`" + ` that finds
it, and what the finding names: its kind, then the place. Somebody who rewrites a file keeps its number of bytes, its footer
and its page checksums right; "forged up to HEAD" means that the ledger, the manifest and HEAD were written again so that every
hash fits. What is found at the level offsets is named as the standard level, files, names it.

The table is the output of

    LANDFALL_SOAK=1 LANDFALL_WRITE=1 go test -run TestTampering ./cmd/internal/tampertest

and the test fails when a line changes, or a level on the smaller lake in ` + "`make test`" + `. The levels: ` + "`offsets`, `files` (the standard one), `bytes`,\n`values`" + `;
` + "`tips`" + ` is files with ` + "`--tips`" + `, the gateways' own documents; ` + "`since`" + ` is files with ` + "`--since`" + `, the result of an audit that was made before.

| tampering | first level that finds it | what it names |
|---|---|---|
`

const tail = `
With tips of every gateway nothing passes; of one without tips nothing outside the lake says anything, and ` + "`not checked`" + ` names it. They speak of what was captured (how far each log goes, and the digest of its raw bytes), and they name the
ledger entry of each task that the cloud told the gateway last: it holds the hash of the entry before it, and every entry those of
its files. Whoever changes anything that was published up to it changes that hash, or has to say it in a later entry, which the
audit finds too. What was published after that entry is not vouched for by these tips, but for its logs: the audit says which epochs
that are, and newer tips vouch for them. An entry is told when it is published and verified, so a lie that is older than the first
telling is not found. The result of an earlier audit does the same for the history before it: keep it somewhere else, and give it to
the next one with ` + "`--since`" + `.

## What level values does not compute again

Three kinds of the forgeries above are of values that level ` + "`values`" + ` leaves out, as ` + "`not checked`" + ` says. With tips none of them passes; without, this is why:

- ` + "`monotonic`" + ` of ` + "`record`" + `, like ` + "`source`" + `, ` + "`kind`" + `, ` + "`flags`" + `, ` + "`boot_id`" + ` and the times, is what the gateway knew beside the bytes. The digest covers the bytes alone, and nothing else in the lake says these values again.
- ` + "`is_duplicate`" + `, ` + "`dup_log`" + `, ` + "`dup_offset`" + ` and ` + "`is_late`" + ` follow from the records before, in the order in which they landed, and from where the gateway's watermark stood at each block: what lies 120 s behind it is
  forgotten. The table ` + "`log`" + ` has the watermark at the ends of epochs only, and the order between two logs of a gateway within an epoch is not kept where ` + "`landed_at`" + ` is the same. So most rows could be computed again and some
  could not, and no finding may be one that an honest lake brings. A repair that makes state again does this, and says how many came out as published instead of judging them.
- ` + "`window`" + ` and ` + "`late`" + ` depend on the same watermark, and a sum of doubles on the order in which they were added.

## Single bits

` + "`TestBitFlips`" + ` changes one bit of one file, of tables and of checkpoints, 2,000 times (` + "`LANDFALL_SOAK=1`" + `; 60 in ` + "`make test`" + `). The level
bytes finds each of them, and names the file.
`
