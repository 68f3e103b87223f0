package tampertest

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/sinks/object"
)

// changedOffset is the record that Change changes in the other lakes.
const changedOffset = 777

func changedRecord() Victim {
	return Victim{Gateway: Gateways()[0], Log: record.LogID{0x10, 2}.String()}
}

// change swaps two digits of a position report, so that rows come out of it as
// before, with other values.
func change(gateway string, log int, offset record.Offset, r *record.Record) {
	if gateway != Gateways()[0] || log != 1 || offset < changedOffset || offset > changedOffset+50 || r.Kind != record.KindAIS {
		return
	}
	raw := string(r.Raw)
	at := strings.LastIndex(raw, "!")
	body, _, ok := strings.Cut(raw[at+1:], "*")
	fields := strings.Split(body, ",")
	if !ok || len(fields) < 7 || len(fields[5]) != 28 || fields[5][0] != '1' {
		return
	}
	payload := []byte(fields[5])
	payload[12] ^= 1 // of the longitude
	fields[5] = string(payload)
	r.Raw = []byte(raw[:at] + sentence("!", strings.Join(fields, ",")))
}

// levels are the levels of the audit in order.
func levels() []audit.Level {
	return []audit.Level{audit.LevelOffsets, audit.LevelFiles, audit.LevelBytes}
}

// outcome is what an audit found.
type outcome struct {
	exact    bool
	findings []audit.Finding
}

// audited runs the audit at one level.
func audited(t testing.TB, l *Lake, level audit.Level) outcome {
	t.Helper()
	c := audit.Config{Lake: l.Dir, Level: level}
	if _, err := os.Stat(l.Checkpoints()); err == nil {
		store, err := object.OpenDir(durable.OS{}, l.Checkpoints())
		must(t, err)
		c.Checkpoints = store
	}
	r, err := audit.Run(t.Context(), c)
	must(t, err)
	return outcome{r.Exact, r.Findings}
}

// beside returns the findings that another outcome has not.
func (o outcome) beside(other outcome) []audit.Finding {
	return slices.DeleteFunc(slices.Clone(o.findings), func(f audit.Finding) bool { return slices.Contains(other.findings, f) })
}

// unnamed lists what of a victim no single finding names; empty: there is one
// that names all of it.
func (v Victim) unnamed(all []audit.Finding) string {
	best, lacks := len(v.names())+1, "everything"
	for _, f := range all {
		var missing []string
		for _, n := range v.names() {
			if !n.in(f) {
				missing = append(missing, n.what+" "+n.value)
			}
		}
		if len(missing) < best {
			best, lacks = len(missing), strings.Join(missing, ", ")
		}
	}
	return lacks
}

// name is one thing that a finding has to name.
type name struct {
	what, value string
	in          func(f audit.Finding) bool
}

func (v Victim) names() (all []name) {
	add := func(what, value string, in func(f audit.Finding) bool) {
		if value != "" {
			all = append(all, name{what, value, in})
		}
	}
	add("table", v.Table, func(f audit.Finding) bool {
		return string(f.Table) == v.Table || strings.HasPrefix(f.File, v.Table+"/")
	})
	add("file", v.File, func(f audit.Finding) bool { return strings.Contains(f.File, v.File) })
	add("gateway", v.Gateway, func(f audit.Finding) bool { return f.Gateway == v.Gateway })
	add("log", v.Log, func(f audit.Finding) bool { return f.Log == v.Log })
	add("offset", v.Offset, func(f audit.Finding) bool { return covers(f.Offsets, v.Offset) })
	return all
}

// covers tells whether a list of offsets and ranges holds an offset.
func covers(list, offset string) bool {
	at, err := strconv.ParseUint(offset, 10, 64)
	if err != nil {
		return false
	}
	for part := range strings.SplitSeq(list, ", ") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		a, err1 := strconv.ParseUint(from, 10, 64)
		b, err2 := strconv.ParseUint(to, 10, 64)
		if err1 == nil && err2 == nil && a <= at && at <= b {
			return true
		}
	}
	return false
}
