package parquet

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

// panickingFiles panics when a file is written to.
type panickingFiles struct {
	object.Files
	closed atomic.Int64
}

func (f *panickingFiles) Create(ctx context.Context, name, target string) (object.StagedFile, error) {
	file, err := f.Files.Create(ctx, name, target)
	return &panickingFile{file, f}, err
}

type panickingFile struct {
	object.StagedFile
	files *panickingFiles
}

func (f *panickingFile) Write([]byte) (int, error) { panic("bytes that nobody thought of") }

func (f *panickingFile) Close() error {
	f.files.closed.Add(1)
	return f.StagedFile.Close()
}

// TestAPanicWhileAFileIsWritten is an error of its stage, on whichever goroutine it
// was, and leaves no file open.
func TestAPanicWhileAFileIsWritten(t *testing.T) {
	files := &panickingFiles{Files: (&faultLake{fs: faultfs.New()}).files(t)}
	s, err := New(Config{Files: files, Writers: 2})
	if err != nil {
		t.Fatal(err)
	}
	stage, err := s.Begin(stream.TaskID{Landing: "m"}, "m-0000-1", 1)
	if err != nil {
		t.Fatal(err)
	}
	var b table.Batch
	b.Records = append(b.Records, table.RecordRow{Lineage: table.Lineage{Gateway: "g"}, LandedAt: 5})
	b.Losses = append(b.Losses, table.LossRow{Gateway: "g", LandedAt: 5})
	if err := stage.Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := stage.Seal(t.Context()); !errors.Is(err, stream.ErrPanic) {
		t.Errorf("sealed with %v", err)
	}
	if files.closed.Load() == 0 {
		t.Error("a file stays open")
	}
}
