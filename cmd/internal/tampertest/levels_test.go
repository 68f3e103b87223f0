package tampertest

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/cmd/internal/enginecli"
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

// check is one way to ask the audit.
type check struct {
	name  string
	level audit.Level
	tips  bool // with the gateways' documents
	since bool // with the result of an audit of the lake before it was tampered with
}

// checks are asked in order until one finds something.
func checks() []check {
	return []check{
		{atOffsets, audit.LevelOffsets, false, false}, {atFiles, audit.LevelFiles, false, false},
		{atBytes, audit.LevelBytes, false, false}, {atValues, audit.LevelValues, false, false},
		{atTips, audit.LevelFiles, true, false}, {atSince, audit.LevelFiles, false, true},
	}
}

// checkNamed returns the check with a name.
func checkNamed(name string) check {
	all := checks()
	return all[slices.IndexFunc(all, func(c check) bool { return c.name == name })]
}

// outcome is what an audit found.
type outcome struct {
	exact    bool
	findings []audit.Finding
	result   *audit.Result
}

// audited runs the audit at one level.
func audited(t testing.TB, l *Lake, level audit.Level) outcome {
	t.Helper()
	return l.asked(t, check{level: level}, nil)
}

// asked runs one check; before is what an audit said of the lake earlier.
func (l *Lake) asked(t testing.TB, how check, before *audit.Result) outcome {
	t.Helper()
	c := audit.Config{Lake: l.Dir, Level: how.level}
	if how.level == audit.LevelValues {
		c.Decode = enginecli.NewDecoder()
	}
	if how.tips {
		c.Tips = l.Tips
	}
	if how.since {
		c.Since = before
	}
	if _, err := os.Stat(l.Checkpoints()); err == nil {
		store, err := object.OpenDir(durable.OS{}, l.Checkpoints())
		must(t, err)
		c.Checkpoints = store
	}
	r, err := audit.Run(t.Context(), c)
	must(t, err)
	return outcome{r.Exact, r.Findings, r}
}

// beside returns the findings that another outcome has not.
func (o outcome) beside(other outcome) []audit.Finding {
	return slices.DeleteFunc(slices.Clone(o.findings), func(f audit.Finding) bool { return slices.Contains(other.findings, f) })
}

// named returns the finding that names most of a victim, and what it lacks; that
// is empty where it names all of it.
func (v Victim) named(all []audit.Finding) (best audit.Finding, lacks string) {
	fewest := len(v.names()) + 1
	for _, f := range all {
		var missing []string
		for _, n := range v.names() {
			if !n.in(f) {
				missing = append(missing, n.what+" "+n.value)
			}
		}
		if len(missing) < fewest {
			best, fewest, lacks = f, len(missing), strings.Join(missing, ", ")
		}
	}
	if len(all) == 0 {
		lacks = "everything"
	}
	return best, lacks
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
	add("task", v.Task, func(f audit.Finding) bool { return f.Task == v.Task })
	add("table", v.Table, func(f audit.Finding) bool {
		return string(f.Table) == v.Table || strings.HasPrefix(f.File, v.Table+"/")
	})
	add("file", v.File, func(f audit.Finding) bool {
		return strings.Contains(f.File, v.File) || v.Table == "" && strings.Contains(f.Detail, v.File) // an object of a checkpoint
	})
	add("gateway", v.Gateway, func(f audit.Finding) bool { return f.Gateway == v.Gateway })
	add("log", v.Log, func(f audit.Finding) bool { return f.Log == v.Log })
	add("column", v.Column, func(f audit.Finding) bool { return f.Column == v.Column })
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
