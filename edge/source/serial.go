package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.bug.st/serial"

	"landfall/edge/durable"
)

// SerialConfig configures a Serial.
type SerialConfig struct {
	Options
	// Device is the port's path, required; /dev/serial/by-id names survive
	// another port number, by-path names another adapter, and are the only ones
	// to tell apart cheap adapters that all have one id. Its last element may be
	// a pattern (path.Match): the first match that can be opened is taken.
	Device string
	// FS finds what a pattern matches; nil: the operating system's.
	FS   durable.FS
	Baud int // bits per second; 0: 38400, the rate of AIS receivers
	// StaleAfter opens the port anew when nothing came for that long; 0: ten
	// minutes; negative: never.
	StaleAfter time.Duration
	// Open opens a port; nil: serial.Open.
	Open func(device string, mode *serial.Mode) (serial.Port, error)
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *SerialConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.Device == "" {
		return fmt.Errorf("device of source %s: empty: %w", c.Name, ErrConfig)
	}
	if c.Baud < 0 {
		return fmt.Errorf("baud of source %s: %d is negative: %w", c.Name, c.Baud, ErrConfig)
	}
	return nil
}

// Serial reads lines from a serial port, 8N1. A port that is absent, busy or
// pulled out is opened again for ever.
type Serial struct {
	meter
	cfg SerialConfig
}

// NewSerial makes a Serial. Error: ErrConfig.
func NewSerial(cfg SerialConfig) (*Serial, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Baud == 0 {
		cfg.Baud = 38400
	}
	if cfg.StaleAfter == 0 {
		cfg.StaleAfter = 10 * time.Minute
	}
	if cfg.Open == nil {
		cfg.Open = serial.Open
	}
	if cfg.FS == nil {
		cfg.FS = durable.OS{}
	}
	s := &Serial{cfg: cfg}
	s.init(&s.cfg.Options, "serial", false)
	return s, nil
}

// serialPoll is how long a read waits, and so how late Run sees ctx end. The
// port is closed by the reading goroutine only: Close of go.bug.st/serial gives
// the descriptor back before it wakes a reader, which might then read another
// file.
const serialPoll = 250 * time.Millisecond

// serialBackoff bounds the wait before a port is opened again: asking costs next to
// nothing, and what a radio says meanwhile is lost.
const serialBackoff = 2 * time.Second

// Run reads until ctx ends. It returns nil.
func (s *Serial) Run(ctx context.Context, sink Sink) error {
	defer s.set(StateStopped, "")
	retry := backoff{limit: serialBackoff}
	for ctx.Err() == nil {
		device, counters, port, err := s.open()
		if err == nil {
			before := s.bytes.Load()
			s.connected(device)
			tally := lineTally{counters: counters, meter: &s.meter}
			err = pump(&portReader{ctx: ctx, port: port, stale: s.cfg.StaleAfter, each: tally.take}, s.cfg.Device, s.o, &s.meter, sink)
			tally.take()
			counters.close()
			_ = port.Close() // only read from; an unplugged port has nothing to say
			s.disconnected()
			if s.bytes.Load() > before {
				retry.reset()
			}
		}
		if errors.Is(err, errStopped) || ctx.Err() != nil {
			return nil
		}
		s.fault(StateAbsent, fmt.Errorf("serial port %s: %w%s", s.cfg.Device, err, serialHint(err)))
		retry.wait(ctx)
	}
	return nil
}

// open opens the port, or of those that the pattern matches the first that can
// be opened. The counters are opened before it: it is exclusive.
func (s *Serial) open() (string, *lineCounters, serial.Port, error) {
	devices, err := Devices(s.cfg.FS, s.cfg.Device)
	for _, device := range devices {
		counters := openLineCounters(device)
		var port serial.Port
		if port, err = openPort(s.cfg.Open, device, s.cfg.Baud); err == nil {
			return device, counters, port, nil
		}
		counters.close()
	}
	return "", nil, nil, err
}

// openPort opens a serial port, 8N1, whose reads end after serialPoll. An absent
// device is a bare ENOENT, a busy one a PortError or errClaimed; none needs another
// answer than trying again.
func openPort(open func(string, *serial.Mode) (serial.Port, error), device string, baud int) (serial.Port, error) {
	claim, err := claimPort(device)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	port, err := open(device, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		claim.close()
		return nil, fmt.Errorf("open: %w", err)
	}
	claimed := &claimedPort{port, claim}
	if err := claim.share(); err != nil {
		return nil, errors.Join(err, claimed.Close())
	}
	if err := port.SetReadTimeout(serialPoll); err != nil {
		return nil, errors.Join(fmt.Errorf("set read timeout: %w", err), claimed.Close())
	}
	return claimed, nil
}

// claimedPort is a port with its claim.
type claimedPort struct {
	serial.Port
	claim *portClaim
}

// Close closes both.
func (p *claimedPort) Close() error {
	defer p.claim.close()
	return p.Port.Close()
}

// portReader makes of a port's timed reads one that ends with ctx, with a
// silence of stale (negative: any), or with the port.
type portReader struct {
	ctx    context.Context
	port   serial.Port
	stale  time.Duration
	silent time.Duration
	each   func() // called now and then, from Read
}

// Read implements io.Reader.
func (r *portReader) Read(p []byte) (int, error) {
	for {
		n, err := r.port.Read(p)
		if r.each != nil {
			r.each()
		}
		switch {
		case n > 0:
			r.silent = 0
			return n, nil // an error comes again at the next read
		case err != nil:
			return 0, err
		case r.ctx.Err() != nil:
			return 0, io.EOF
		}
		if r.silent += serialPoll; r.stale > 0 && r.silent >= r.stale {
			return 0, fmt.Errorf("silent for %v", r.stale)
		}
	}
}
