package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable/smalldisk"
)

// TestWhatTheDiskDidNotTakeIsNotCounted: on a full disk the records of status are
// those behind C1, no more, and C1's offset can be compared with C2's.
func TestWhatTheDiskDidNotTakeIsNotCounted(t *testing.T) {
	c := fileGateway(t, 0, "http://"+freeAddress(t)) // nobody answers: nothing is released
	c.DataDir = filepath.Join(smalldisk.Mount(t, "1m"), "data")
	c.Log.SegmentSize, c.Log.Quota, c.Log.Reserve = 256<<10, 0, 1
	c.Sources[0].File.Follow = true
	a := start(t, c, Options{})
	waitFor(t, func() bool { return a.Status().Sources[0].State == "open" })
	f, err := os.OpenFile(c.Sources[0].File.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for i := range 30_000 {
		if _, err := fmt.Fprintf(f, "line %d of a file that is larger than the disk\r\n", i); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool {
		s := a.Status()
		return s.Capture.Blocked != "" && s.Sources[0].Lines > s.Sources[0].Records
	})
	s := a.Status()
	durable := s.Log.DurableOffset
	if durable < 100 || s.Capture.Records != durable-1 || s.Sources[0].Records != durable-1 { // offset 0 is the log's opening
		t.Errorf("%d and %d records are counted, %d offsets are durable", s.Capture.Records, s.Sources[0].Records, durable)
	}
	if s.Capture.Lines <= s.Capture.Records {
		t.Errorf("nothing waits: %+v", s.Capture)
	}
	if s.Forward.AckedOffset != 0 || s.Forward.Pending != durable {
		t.Errorf("C1 is at %d, C2 at %d with %d pending", durable, s.Forward.AckedOffset, s.Forward.Pending)
	}
}
