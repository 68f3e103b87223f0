package kafka

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"landfall/edge/record"
	"landfall/engine/stream"
)

// markerFormat is the version of the marker that this package writes; it reads
// all up to it. Version 1 names 32 epochs before its own at most, 2 up to
// recentEpochs.
const markerFormat = 2

// recentEpochs is how many epochs before its own a marker names: as many as may
// wait for publishing, so that a claim that publishes all of them again, while
// the newest is published already, finds each of them.
const recentEpochs = stream.MaxBacklog

// maxMarkerBytes is more than the largest marker takes as a message: the names of
// 20 digits and 64 of its epochs, with the JSON around them, the task, and what
// Kafka puts around a message.
const maxMarkerBytes = (recentEpochs+1)*128 + 1<<10

// marker is the value of one message of the marker topic, as JSON; its key is
// the task:
//
//	{"format": 2, "task": "5f…-0003", "epoch": 7, "sha256": "…", "rows": 4711,
//	 "recent": [{"epoch": 6, "sha256": "…"}, …]}
type marker struct {
	Format int          `json:"format"`
	Task   string       `json:"task"`
	Epoch  stream.Epoch `json:"epoch"`
	SHA256 string       `json:"sha256"` // output.hash
	Rows   int64        `json:"rows"`
	Recent []recent     `json:"recent"` // the epochs published before, newest first
}

type recent struct {
	Epoch  stream.Epoch `json:"epoch"`
	SHA256 string       `json:"sha256"`
}

// next is the marker of an epoch that follows m; m nil: the task's first.
func (m *marker) next(o *output) *marker {
	n := &marker{Format: markerFormat, Task: o.task, Epoch: o.epoch, SHA256: o.hash(), Rows: o.rows, Recent: []recent{}}
	if m != nil {
		n.Recent = append(n.Recent, recent{m.Epoch, m.SHA256})
		n.Recent = append(n.Recent, m.Recent[:min(len(m.Recent), recentEpochs-1)]...)
	}
	return n
}

// remember adds what an earlier marker of the task, nil for none, knew and m has
// forgotten, up to recentEpochs. It is of use after a marker of version 1: the
// topic still has the ones before it, unless it was compacted since.
func (m *marker) remember(before *marker) {
	if before == nil {
		return
	}
	oldest := m.Epoch
	if n := len(m.Recent); n > 0 {
		oldest = m.Recent[n-1].Epoch
	}
	for _, r := range append([]recent{{before.Epoch, before.SHA256}}, before.Recent...) {
		if r.Epoch < oldest && len(m.Recent) < recentEpochs {
			m.Recent = append(m.Recent, r)
		}
	}
}

// encode gives the JSON.
func (m *marker) encode() ([]byte, error) { return json.Marshal(m) }

// decodeMarker reads a marker: record.ErrVersion when a newer program wrote it,
// record.ErrCorrupt when it is no marker of the task.
func decodeMarker(task string, data []byte) (*marker, error) {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("%w marker: %w", record.ErrCorrupt, err)
	}
	if version.Format > markerFormat {
		return nil, fmt.Errorf("marker: %w: format %d, known up to %d", record.ErrVersion, version.Format, markerFormat)
	}
	var m marker
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w marker: %w", record.ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w marker: bytes after the end", record.ErrCorrupt)
	}
	if m.Format < 1 || m.Task != task || m.Epoch == 0 || len(m.SHA256) != 64 || len(m.Recent) > recentEpochs {
		return nil, fmt.Errorf("%w marker: format %d, task %q, epoch %s, %d epochs before it", record.ErrCorrupt, m.Format, m.Task, m.Epoch, len(m.Recent))
	}
	return &m, nil
}

// done decides about an epoch, given the task's newest committed marker, nil if
// there is none: true when it is published, false when it is to be published
// now, stream.ErrContent when what is published contradicts it.
//
// Epochs are published in order, so a marker behind this one says that it is
// not published. A marker ahead knows the epochs before it. If it does not know
// this one, either the caller is a claim that ended long ago, or the
// checkpoints were set back to a state before what is in Kafka; whoever holds
// HEAD can tell, and publishes nothing in both cases.
func (m *marker) done(o *output) (bool, error) {
	if m == nil || m.Epoch < o.epoch {
		return false, nil
	}
	published := append([]recent{{m.Epoch, m.SHA256}}, m.Recent...)
	for _, r := range published {
		if r.Epoch != o.epoch {
			continue
		}
		if want := o.hash(); r.SHA256 != want {
			return false, fmt.Errorf("%w: epoch %s of %s is in Kafka with hash %.16s…, staged is %.16s…", stream.ErrContent, o.epoch, o.task, r.SHA256, want)
		}
		return true, nil
	}
	return false, fmt.Errorf("%w: the marker of %s is at epoch %s and does not know epoch %s: were the checkpoints set back?", stream.ErrContent, o.task, m.Epoch, o.epoch)
}
