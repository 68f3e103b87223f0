package kafkatest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// CutLog makes a killed broker lose the newest n batches of a partition, as a disk
// that did not keep what it had confirmed. Start brings it back without them.
func (b *Broker) CutLog(topic string, partition, n int) error {
	name, starts, err := b.batches(topic, partition)
	if err == nil && len(starts) < n {
		err = fmt.Errorf("%s has %d batches, fewer than %d", name, len(starts), n)
	}
	if err != nil || n == 0 {
		return err
	}
	return os.Truncate(name, starts[len(starts)-n])
}

// Batches returns how many batches the newest segment of a partition holds.
func (b *Broker) Batches(topic string, partition int) (int, error) {
	_, starts, err := b.batches(topic, partition)
	return len(starts), err
}

// batches returns the newest segment of a partition and where its batches begin.
func (b *Broker) batches(topic string, partition int) (name string, starts []int64, err error) {
	segments, err := filepath.Glob(filepath.Join(b.dir, "data", fmt.Sprintf("%s-%d", topic, partition), "*.log"))
	if err != nil || len(segments) == 0 {
		return "", nil, fmt.Errorf("find the log of %s-%d of broker %d: %v", topic, partition, b.id, err)
	}
	slices.Sort(segments)
	name = segments[len(segments)-1]
	data, err := os.ReadFile(name)
	if err != nil {
		return "", nil, err
	}
	for at := 0; at+12 <= len(data); { // a batch: 8 bytes base offset, 4 bytes length of the rest
		size := 12 + int(binary.BigEndian.Uint32(data[at+8:]))
		if size <= 12 || at+size > len(data) {
			break // room that was made beforehand
		}
		starts = append(starts, int64(at))
		at += size
	}
	return name, starts, nil
}
