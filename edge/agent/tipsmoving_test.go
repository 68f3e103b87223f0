package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
)

// movingFS is a directory beside a running gateway: the segment that holds the last
// block is released and taken for another log between the look that finds where the
// log ends and the one that reads the block there, once.
type movingFS struct {
	durable.FS
	opened []string // segments, in the order in which they were opened
	moves  int      // openings after the first of a segment that find it taken, at most
	moved  int
}

// Open implements durable.FS.
func (m *movingFS) Open(name string) (durable.File, error) {
	f, err := m.FS.Open(name)
	return m.look(name, f, err)
}

// OpenWrite implements durable.FS.
func (m *movingFS) OpenWrite(name string) (durable.File, error) {
	f, err := m.FS.OpenWrite(name)
	return m.look(name, f, err)
}

func (m *movingFS) look(name string, f durable.File, err error) (durable.File, error) {
	if err != nil || !strings.HasSuffix(name, ".seg") {
		return f, err
	}
	m.opened = append(m.opened, name)
	if m.moved < m.moves && len(m.opened) > 1 && m.opened[len(m.opened)-2] == name {
		m.moved++
		m.opened = nil
		return takenFile{f}, nil
	}
	return f, nil
}

// takenFile is a segment that was made ready for another log: nothing is in it.
type takenFile struct{ durable.File }

// ReadAt implements io.ReaderAt.
func (f takenFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	clear(p[:n])
	return n, err
}

// TestTipsOfALogThatMoves: a last block that was released between two looks is looked
// for again, and what is said has its chain and digest. Where the log never stands
// still, what is said in the end names no chain, and no other log's.
func TestTipsOfALogThatMoves(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	stopped(t, c, 101)
	want := onDisk(t, c)
	if err := os.Remove(c.TipsFile()); err != nil { // or the book knows the end
		t.Fatal(err)
	}
	for moves, chain := range map[int]string{0: want.Chain, 1: want.Chain, readAgain - 1: want.Chain, 1 << 20: ""} {
		m := &movingFS{FS: durable.OS{}, moves: moves}
		body, err := c.Tips(t.Context(), m, "", time.Unix(5, 0))
		if err != nil || len(body.Logs) != 1 || body.Logs[0].End != want.End || body.Logs[0].Chain != chain || m.moved != min(moves, readAgain) {
			t.Errorf("%d moves, %d happened: %+v, %v; want %+v", moves, m.moved, body.Logs, err, want)
		}
	}
}
