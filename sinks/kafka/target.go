package kafka

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"landfall/engine/stream"
)

// target is what Staged.Target says: "<marker topic>/<topic>/<task>-<epoch,
// twenty digits>".
type target struct {
	markers string
	topic   string
	task    string
	epoch   stream.Epoch
}

// String gives the form that stands in manifests.
func (t target) String() string {
	return t.markers + "/" + t.topic + "/" + t.task + "-" + t.epoch.Padded()
}

// parseTarget reads what String gave.
func parseTarget(s string) (target, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return target{}, fmt.Errorf("target %q: want marker topic, topic and epoch", s)
	}
	at := strings.LastIndexByte(parts[2], '-')
	if at <= 0 {
		return target{}, fmt.Errorf("target %q: no epoch", s)
	}
	epoch, err := strconv.ParseUint(parts[2][at+1:], 10, 64)
	t := target{parts[0], parts[1], parts[2][:at], stream.Epoch(epoch)}
	if err != nil || t.String() != s || !isTopic(t.markers) || !isTopic(t.topic) {
		return target{}, fmt.Errorf("target %q: not one of this sink's", s)
	}
	return t, nil
}

// output is one epoch's outputs for this sink: what one transaction holds.
type output struct {
	markers string
	task    string
	epoch   stream.Epoch
	files   []stream.Staged
	topics  []string // of files
	rows    int64
}

// byEpoch sorts staged outputs into epochs, oldest first.
func byEpoch(staged []stream.Staged) ([]*output, error) {
	type key struct {
		task  string
		epoch stream.Epoch
	}
	index := make(map[key]*output)
	var all []*output
	for _, f := range staged {
		if f.Sink != Name {
			continue
		}
		t, err := parseTarget(f.Target)
		if err != nil {
			return nil, err
		}
		o, ok := index[key{t.task, t.epoch}]
		if !ok {
			o = &output{markers: t.markers, task: t.task, epoch: t.epoch}
			index[key{t.task, t.epoch}] = o
			all = append(all, o)
		}
		if o.markers != t.markers {
			return nil, fmt.Errorf("epoch %s of %s has two marker topics, %s and %s", t.epoch, t.task, o.markers, t.markers)
		}
		o.files, o.topics, o.rows = append(o.files, f), append(o.topics, t.topic), o.rows+f.Rows
	}
	slices.SortStableFunc(all, func(a, b *output) int {
		switch {
		case a.epoch < b.epoch:
			return -1
		case a.epoch > b.epoch:
			return 1
		}
		return strings.Compare(a.task, b.task)
	})
	return all, nil
}

// hash is the SHA-256 of what an epoch holds: a line for each output, with
// topic, table, rows and hash, sorted. Names of staged objects are not in it:
// they hold the claim.
func (o *output) hash() string {
	lines := make([]string, len(o.files))
	for i, f := range o.files {
		lines[i] = fmt.Sprintf("%s %s %d %s\n", o.topics[i], f.Table, f.Rows, f.SHA256)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}
