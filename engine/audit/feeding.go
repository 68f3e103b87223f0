package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"landfall/engine/checkpoint"
)

// feedingName is the object that says which landing log feeds a lake, written by
// engine/move before any task is claimed. A lake that nothing feeds, or that a version
// before it filled, has none.
const feedingName = "_lake/landing"

// feedingFormat is the newest version of that object: 2 while a move is under way that
// was led elsewhere, and says so in given_up.
const feedingFormat = 2

// feedingSince is the first format of manifests of a version that writes it.
const feedingSince = 4

// maxFeedingPartitions bounds what is believed of it: names of tasks have four digits.
const maxFeedingPartitions = 9999

// feeding is what it says.
type feeding struct {
	Format     int    `json:"format"`
	Generation int    `json:"generation"` // counts the landing logs before this one
	Kind       string `json:"kind"`
	ID         string `json:"id"`         // of the landing log
	Partitions int    `json:"partitions"` // 0: not known
	Place      string `json:"place"`
	GivenUp    int    `json:"given_up,omitempty"` // landing logs that a move was to lead to; format 2
}

// isAsWritten tells whether an object that says it is in the form in which it is
// written, whatever its place is: names in JSON match in any case, and spaces do not
// matter. A place that is no UTF-8 is written with an escape.
func (f *feeding) isAsWritten(data []byte) bool {
	again, err := json.Marshal(f)
	data = bytes.ReplaceAll(data, []byte(`\ufffd`), []byte("\ufffd"))
	return err == nil && bytes.Equal(append(again, '\n'), data)
}

// plausible tells whether it says what an engine may say.
func (f *feeding) plausible() bool {
	return f.Format >= 1 && f.Format <= feedingFormat && (f.Format < 2) == (f.GivenUp == 0) && f.ID != "" &&
		(f.Kind == "embedded" || f.Kind == "kafka") && f.Partitions >= 0 && f.Partitions <= maxFeedingPartitions
}

// feeding reads which landing log feeds the lake; nil: nothing says so, or it cannot be
// read, which is a finding: no engine starts on such a lake. It is read before the
// HEADs: a move makes its tasks before it says where the lake is fed from.
func (a *audit) feeding(ctx context.Context) (*feeding, error) {
	if a.Checkpoints == nil {
		return nil, nil
	}
	data, _, err := a.Checkpoints.Read(ctx, feedingName)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return nil, nil
	}
	if err != nil && !isDamage(err) {
		return nil, fmt.Errorf("read which landing log feeds the lake: %w", err)
	}
	var f feeding
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		err = d.Decode(&f)
	}
	if err == nil && !f.plausible() {
		err = fmt.Errorf("format %d, %s landing log %q with %d partitions", f.Format, quoteName(f.Kind), f.ID, f.Partitions)
	}
	if err == nil && !f.isAsWritten(data) {
		err = errors.New("it is not as it was written")
	}
	if err != nil {
		a.find(Finding{Kind: KindHead, File: feedingName, Detail: fmt.Sprintf("%s, which says which landing log feeds the lake, cannot be used, and no engine starts on the lake: %v", feedingName, err)})
		return nil, nil
	}
	return &f, nil
}

// checkFeeding holds the tasks of the landing log that feeds the lake against what the
// lake says of it: a partition that was taken out of all manifests stands there still.
func (a *audit) checkFeeding(ctx context.Context, first map[string]taskHead) error {
	f := a.fed
	if f == nil {
		return a.missFeeding(ctx, first)
	}
	for _, name := range slices.Sorted(maps.Keys(first)) {
		h := first[name]
		m := &h.manifest
		if h.err != nil || m.Landing != f.ID {
			continue
		}
		if f.Partitions > 0 && m.Partitions != f.Partitions || m.Generation != f.Generation {
			a.find(Finding{Kind: KindHead, Task: name, File: feedingName,
				Detail: fmt.Sprintf("%s says that landing log %s has %d partitions and is the lake's number %d, and the manifest of task %s that it has %d and is number %d",
					feedingName, f.ID, f.Partitions, f.Generation, name, m.Partitions, m.Generation)})
		}
	}
	return nil
}

// missFeeding finds that nothing says which landing log feeds the lake, though a task
// was claimed by a version that writes that first. It is asked for once more: of a lake
// that began meanwhile the tasks were seen and the object was not.
func (a *audit) missFeeding(ctx context.Context, first map[string]taskHead) error {
	for _, name := range slices.Sorted(maps.Keys(first)) {
		h := first[name]
		m := &h.manifest
		if h.err != nil || m.Format < feedingSince || len(m.Params) > 0 { // a bounded input feeds nothing
			continue
		}
		_, _, err := a.Checkpoints.Read(ctx, feedingName)
		switch {
		case errors.Is(err, checkpoint.ErrNotExist):
			a.find(Finding{Kind: KindHead, File: feedingName,
				Detail: fmt.Sprintf("%s, which says which landing log feeds the lake, is not there, and the program that claimed task %s wrote it before; "+
					"landfall-engine repair makes it again", feedingName, name)})
		case err != nil && !isDamage(err):
			return fmt.Errorf("read which landing log feeds the lake: %w", err)
		}
		return nil
	}
	return nil
}
