package source

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay serves the lines of a source again on TCP, as they come: a serial port
// has one reader, and the chart plotter wants it too. It never makes the source
// wait: a client that does not keep up misses whole lines, which are counted.
type Relay struct {
	listen string
	o      *Options

	dropped atomic.Uint64
	clients atomic.Int64
	refused func(who string, why error) // nil: nobody is told
	slots   *slots

	mu    sync.Mutex
	outs  map[chan []byte]*atomic.Int64 // to the bytes that wait in each; guarded by mu
	addr  net.Addr                      // guarded by mu
	ready chan struct{}                 // closed once addr is known
}

// relayQueue is how many batches a client may be behind, relayBytes how many bytes.
const (
	relayQueue = 256
	relayBytes = 1 << 20
)

// relayClients is how many clients there are at a time.
const relayClients = 64

// relayTimeout ends a client that takes nothing.
const relayTimeout = 30 * time.Second

// NewRelay makes a Relay that listens on host:port. Error: ErrConfig.
func NewRelay(o Options, listen string) (*Relay, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return nil, fmt.Errorf("serve of source %s: want host:port: %w: %w", o.Name, err, ErrConfig)
	}
	return &Relay{listen: listen, o: &o, slots: newSlots(relayClients, 0), outs: map[chan []byte]*atomic.Int64{}, ready: make(chan struct{})}, nil
}

// Dropped is how many lines clients missed. It may be called from any goroutine.
func (r *Relay) Dropped() uint64 { return r.dropped.Load() }

// OnRefused has refused called with each client for which there is no place. It is
// called before Run.
func (r *Relay) OnRefused(refused func(who string, why error)) { r.refused = refused }

// Clients is how many clients there are now.
func (r *Relay) Clients() int { return int(r.clients.Load()) }

// Addr waits until the Relay listens and gives its address, nil when ctx ends
// before.
func (r *Relay) Addr(ctx context.Context) net.Addr {
	select {
	case <-ctx.Done():
		return nil
	case <-r.ready:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// Run serves until ctx ends; all it started has ended when it returns. A port
// that cannot be had is tried again.
func (r *Relay) Run(ctx context.Context) {
	var clients sync.WaitGroup
	defer clients.Wait()
	var retry backoff
	for ctx.Err() == nil {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", r.listen)
		if err == nil {
			retry.reset()
			err = r.accept(ctx, ln, &clients)
		}
		if ctx.Err() == nil {
			if r.o.Logger != nil {
				r.o.Logger.Log(ctx, slog.LevelWarn, "lines are not served again", "source", r.o.Name, "error", err)
			}
			retry.wait(ctx)
		}
	}
}

func (r *Relay) accept(ctx context.Context, ln net.Listener, clients *sync.WaitGroup) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer func() { _ = ln.Close() }()
	r.mu.Lock()
	if r.addr == nil {
		close(r.ready)
	}
	r.addr = ln.Addr()
	r.mu.Unlock()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		// Clients of a Relay have nothing to say, so none is ended for that.
		c, err := r.slots.add(conn)
		if err != nil {
			if r.refused != nil {
				r.refused("client of serve "+hostOf(conn), err)
			}
			_ = conn.Close()
			continue
		}
		clients.Go(func() {
			defer r.slots.leave(c)
			r.client(ctx, conn)
		})
	}
}

// client writes lines to one client until it is gone.
func (r *Relay) client(ctx context.Context, conn net.Conn) {
	out, waiting := make(chan []byte, relayQueue), new(atomic.Int64)
	r.mu.Lock()
	r.outs[out] = waiting
	r.mu.Unlock()
	r.clients.Add(1)
	defer r.clients.Add(-1)
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.outs, out)
	}()
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a write may wait for the client
	gone := make(chan struct{})
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { _ = conn.Close() }() // ends the reader
	reader.Go(func() {
		defer close(gone)
		discard(conn)
	})
	for {
		select {
		case <-ctx.Done():
			return
		case <-gone:
			return
		case data := <-out:
			waiting.Add(-int64(len(data)))
			if conn.SetWriteDeadline(time.Now().Add(relayTimeout)) != nil {
				return
			}
			if _, err := conn.Write(data); err != nil {
				return
			}
		}
	}
}

// discard reads what a client says, which is nothing of interest, until it ends.
func discard(conn net.Conn) {
	buf := make([]byte, 512)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// send hands the lines of a batch to every client that has room.
func (r *Relay) send(b *Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.outs) == 0 || len(b.Lines) == 0 {
		return
	}
	var data []byte
	for i := range b.Lines {
		if !b.Lines[i].Reading {
			data = append(append(data, b.Lines[i].Data...), '\r', '\n')
		}
	}
	for out, waiting := range r.outs {
		if len(out) == cap(out) || waiting.Load()+int64(len(data)) > relayBytes {
			r.dropped.Add(uint64(len(b.Lines)))
			continue
		}
		waiting.Add(int64(len(data)))
		out <- data // only send sends, under mu: there is room
	}
}

// Sink gives a Sink that hands what it takes to the Relay's clients and to sink.
func (r *Relay) Sink(sink Sink) Sink { return relaySink{sink, r} }

type relaySink struct {
	Sink
	relay *Relay
}

// Deliver implements Sink. Clients have the lines before they are durable: they
// want them now.
func (s relaySink) Deliver(b *Batch) error {
	s.relay.send(b)
	return s.Sink.Deliver(b)
}
