package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"landfall/edge/durable/failpoint"
	"landfall/engine/stream"
	"landfall/sinks/parquet"
)

// stagingRoot is the folder below the lake in which rows are staged; readers
// that list tables never look into it, nor does the collection of other sinks.
const stagingRoot = "_kafka"

// stagingFolder is where a task's rows are staged.
func stagingFolder(task stream.TaskID) string { return stagingRoot + "/" + task.String() + "/" }

// storeFolder is where the store keeps what a task has not finished writing.
func storeFolder(task stream.TaskID) string { return "_staging/" + task.String() + "/" }

// partFolder is where objects of this sink are being written.
func partFolder(task stream.TaskID) string { return storeFolder(task) + stagingRoot + "/" }

// Sink implements stream.Sink and io.Closer.
type Sink struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	publishing sync.Mutex            // held by Publish; guards what follows
	prepared   map[string]bool       // topics that were looked at
	limit      time.Duration         // the broker's transaction.max.timeout.ms; 0: not asked yet
	timeout    time.Duration         // of the next transaction
	lost       int                   // transactions in a row that another writer ended
	logs       map[string]*markerLog // by marker topic and task: how far markers were read
}

var _ stream.Sink = (*Sink)(nil)

// New makes a Sink; it connects to nothing before Publish.
func New(c Config) (*Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Files == nil {
		return nil, errors.New("kafka sink: Files is missing")
	}
	c = c.withDefaults()
	s := &Sink{cfg: c, prepared: make(map[string]bool), logs: make(map[string]*markerLog), timeout: c.TransactionTimeout}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends what Publish does at the moment, with an error. What was committed
// and not published is left to the next process.
func (s *Sink) Close() error {
	s.cancel()
	return nil
}

// Name implements stream.Sink.
func (s *Sink) Name() string { return Name }

// Begin implements stream.Sink. Nothing is written before Seal.
func (s *Sink) Begin(task stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	if task.Landing == "" || strings.Trim(task.Landing, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fmt.Errorf("begin epoch %s: landing log id %q: want lower-case letters, digits and '-'", epoch, task.Landing)
	}
	if claim == "" {
		return nil, fmt.Errorf("begin epoch %s of %s: no claim", epoch, task)
	}
	g := parquet.NewGatherer(s.cfg.Tables)
	return &Stage{sink: s, task: task, claim: claim, epoch: epoch, gather: g, tables: make([]*stagedTable, len(g.Tables()))}, nil
}

// Verify implements stream.Sink. What a transaction holds rests on the brokers'
// word: acks=all, and the marker in the same transaction.
func (s *Sink) Verify(context.Context, []stream.Staged) error { return nil }

// Collect implements stream.Sink. It is called before the task stages anything,
// so all that is there is of earlier claims.
func (s *Sink) Collect(ctx context.Context, task stream.TaskID, keep map[string]bool, alive func() error) error {
	names, err := s.cfg.Files.List(ctx, stagingFolder(task))
	if err != nil {
		return fmt.Errorf("list staged objects of %s: %w", task, err)
	}
	parts, err := s.cfg.Files.List(ctx, storeFolder(task))
	if err != nil {
		return fmt.Errorf("list unfinished objects of %s: %w", task, err)
	}
	for _, name := range parts {
		if strings.Contains(name, "/"+stagingRoot+"/") { // the others are of other sinks
			names = append(names, name)
		}
	}
	for _, name := range names {
		if keep[name] {
			continue
		}
		if err := alive(); err != nil {
			return err
		}
		failpoint.Hit("collect.before-delete")
		if err := s.cfg.Files.Remove(ctx, name); err != nil {
			return fmt.Errorf("collect staged object: %w", err)
		}
	}
	for _, folder := range []string{stagingFolder(task), storeFolder(task)} {
		if err := alive(); err != nil {
			return err
		}
		if err := s.cfg.Files.Sweep(ctx, folder); err != nil {
			return fmt.Errorf("sweep staging of %s: %w", task, err)
		}
	}
	return nil
}
