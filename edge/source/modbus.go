package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/modbus"
)

// ModbusDevice is one device on a bus, and what is read from it.
type ModbusDevice struct {
	Unit      uint8  // address on the bus, 1 to 247; over TCP also 0 and 255
	Sensor    string // name of the sensor; required
	Interval  time.Duration
	Registers []modbus.Register
}

// ModbusConfig configures a Modbus.
type ModbusConfig struct {
	Options
	// URL is tcp://host:port, rtu:///dev/… for a serial line, or
	// rtuovertcp://host:port for a converter that passes RTU frames. Required.
	URL      string
	Baud     int    // of a serial line, bits per second; 0: 19200
	Parity   string // of a serial line: none, even or odd; empty: even
	StopBits int    // 1 or 2; 0: 1, without parity 2
	// Timeout is how long a device may take to answer. 0: 1 s.
	Timeout time.Duration
	Devices []ModbusDevice // at least one
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *ModbusConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	u, err := url.Parse(c.URL)
	if err != nil || !strings.Contains(" tcp rtu rtuovertcp ", " "+u.Scheme+" ") || u.Host == "" && u.Path == "" {
		return fmt.Errorf("url of source %s: %q is none like tcp://host:502 or rtu:///dev/ttyUSB0: %w", c.Name, c.URL, ErrConfig)
	}
	switch {
	case c.Baud < 0 || c.StopBits < 0 || c.StopBits > 2 || !strings.Contains(" none even odd ", " "+c.Parity):
		return fmt.Errorf("line of source %s: %d baud, parity %q, %d stop bits: %w", c.Name, c.Baud, c.Parity, c.StopBits, ErrConfig)
	case c.Timeout < 0:
		return fmt.Errorf("timeout of source %s: %v is negative: %w", c.Name, c.Timeout, ErrConfig)
	case len(c.Devices) == 0:
		return fmt.Errorf("devices of source %s: none: %w", c.Name, ErrConfig)
	}
	for i := range c.Devices {
		d := &c.Devices[i]
		if d.Sensor == "" || d.Interval <= 0 || len(d.Registers) == 0 {
			return fmt.Errorf("device %d of source %s: sensor, interval and registers are required: %w", d.Unit, c.Name, ErrConfig)
		}
		for _, r := range d.Registers {
			if r.Type.Registers() == 0 || !r.Order.Valid() {
				return fmt.Errorf("register %s:%d of device %d of source %s: type %q, order %q: %w", r.Table, r.Address, d.Unit, c.Name, r.Type, r.Order, ErrConfig)
			}
		}
	}
	return nil
}

// Modbus asks the devices of one bus in turn, each at its interval, and makes a
// report of each answer. A value that could not be read is a reading without a
// value, whose quality says why, at every interval: never an old value with a
// new time. So that a late answer is not taken for the answer to a later
// question, the line is closed after a time-out, and on a serial line a device's
// first answer after one is thrown away with everything that follows it for
// Timeout.
//
// A device that does not answer, or of which a gateway says so, is asked less
// often, in the end for a thirtieth of the bus's time, so that the others are not
// kept waiting. Devices that are due share the bus's time, an answer at a time.
type Modbus struct {
	meter
	cfg     ModbusConfig
	bus     modbusBus
	read    func(unit uint8, q *modbus.Request) ([]byte, error) // of bus
	devices []*modbusDevice
	served  time.Duration // what the device that had the last turn had used before it
}

// modbusDevice is a device with its schedule.
type modbusDevice struct {
	ModbusDevice
	requests []modbus.Request
	next     time.Time    // when it is due
	askAt    time.Time    // not asked before, because it did not answer
	silent   int          // polls in a row without an answer
	suspect  bool         // a late answer of it may be on the way
	failure  error        // the last that ended a poll
	trouble  string       // the first of the last poll, for people; empty: none
	split    map[int]bool // requests of which a part is refused

	left   []modbusAsk   // of the poll that is under way
	failed error         // why nothing more is read in it
	used   time.Duration // of the bus's time, as far as it counts against others
	slow   bool          // the last poll began an interval late
}

// NewModbus makes a Modbus. Error: ErrConfig.
func NewModbus(cfg ModbusConfig) (*Modbus, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	m := &Modbus{cfg: cfg, bus: modbusBus{cfg: &cfg}}
	m.bus.cfg, m.bus.meter, m.read = &m.cfg, &m.meter, m.bus.read
	for _, d := range cfg.Devices {
		m.devices = append(m.devices, &modbusDevice{ModbusDevice: d, requests: modbus.Requests(d.Registers), split: map[int]bool{}})
	}
	m.init(&m.cfg.Options, "modbus", false)
	return m, nil
}

// Run polls until ctx ends. It returns nil.
func (m *Modbus) Run(ctx context.Context, sink Sink) error {
	defer m.set(StateStopped, "")
	defer m.bus.close()
	now := time.Now()
	for _, d := range m.devices {
		d.next = now
	}
	for {
		d, due := m.pick(time.Now())
		if !wait(ctx, time.Until(due)) {
			return nil
		}
		if err := m.turn(ctx, d, sink); err != nil || ctx.Err() != nil {
			return nil
		}
	}
}

// pick returns the device that has the next turn, and when: of those that are due, or
// in the middle of a poll, the one that had the least of the bus's time, so that one
// which answers slowly and has much to be read keeps the others waiting for one of its
// answers, not for all of them.
func (m *Modbus) pick(now time.Time) (next *modbusDevice, due time.Time) {
	for _, d := range m.devices {
		switch at := d.due(now); {
		case next == nil, at.Before(due), at.Equal(due) && d.used < next.used:
			next, due = d, at
		}
	}
	return next, due
}

// due is when a device is to have a turn: now where its time has come.
func (d *modbusDevice) due(now time.Time) time.Time {
	if len(d.left) > 0 || d.next.Before(now) {
		return now
	}
	return d.next
}

// turn gives a device a turn on the bus, and begins a poll of it where none is under way.
func (m *Modbus) turn(ctx context.Context, d *modbusDevice, sink Sink) error {
	begin := time.Now()
	d.used = max(d.used, m.served) // what it did not use while it was not due is gone
	m.served = d.used
	defer func() { d.used += time.Since(begin) }()
	if len(d.left) == 0 {
		d.slow = begin.Sub(d.next) >= d.Interval
		for d.next = d.next.Add(d.Interval); time.Until(d.next) < 0; {
			d.next = time.Now().Add(d.Interval) // the bus is slower than the schedule
		}
		d.trouble = ""
		for i := range d.requests {
			d.left = append(d.left, modbusAsk{&d.requests[i], i})
		}
		d.failed = m.prepare(ctx, d)
	}
	err := m.ask(d, sink)
	for err == nil && d.failed != nil && len(d.left) > 0 {
		err = m.ask(d, sink) // nothing more is read in this poll
	}
	if err == nil && len(d.left) == 0 {
		if d.failed == nil {
			d.silent = 0
		}
		m.tell()
	}
	return err
}

// modbusAsk is a request of a poll that is under way.
type modbusAsk struct {
	q     *modbus.Request
	whole int // the number of a request that may be split; -1: a part of one
}

// ask carries out the next request of a poll and delivers its report, or what takes its
// place where the poll has failed. A request of which a part is refused is split.
func (m *Modbus) ask(d *modbusDevice, sink Sink) error {
	q, whole := d.left[0].q, d.left[0].whole
	if whole >= 0 && d.split[whole] && d.failed == nil {
		parts := q.Split()
		split := make([]modbusAsk, 0, len(parts)+len(d.left))
		for i := range parts {
			split = append(split, modbusAsk{&parts[i], -1})
		}
		d.left = append(split, d.left[1:]...)
		q, whole = d.left[0].q, -1
	}
	var data []byte
	err := d.failed
	if err == nil {
		data, err = m.read(d.Unit, q)
		if whole >= 0 && len(q.Reads) > 1 && refusesPart(err) {
			d.split[whole] = true
			return nil
		}
		d.failed = m.judge(d, q, err)
	}
	d.left = d.left[1:]
	return m.deliver(d, q, data, qualityOf(err), sink)
}

// prepare makes sure that the device's next answer is the answer to its next
// question. It gives why a poll is not made.
func (m *Modbus) prepare(ctx context.Context, d *modbusDevice) error {
	if time.Now().Before(d.askAt) {
		d.trouble = fmt.Sprintf("unit %d: %v; it is asked less often", d.Unit, d.failure)
		return d.failure
	}
	if !d.suspect || !m.bus.serial() {
		return nil
	}
	_, err := m.read(d.Unit, &d.requests[0])
	if failed := m.judge(d, &d.requests[0], err); failed != nil {
		return failed
	}
	if !wait(ctx, m.cfg.Timeout) {
		return d.failure
	}
	m.bus.close()
	d.suspect = false
	return nil
}

// judge takes the end of a read into account, and gives why the poll ends with
// it; nil: it goes on. A refusal is an answer.
func (m *Modbus) judge(d *modbusDevice, q *modbus.Request, err error) error {
	if err != nil && d.trouble == "" {
		d.trouble = fmt.Sprintf("unit %d, %s:%d: %v", d.Unit, q.Table, q.Address, err)
	}
	quality := qualityOf(err)
	if quality == sensor.QualityGood || quality == sensor.QualityBadException {
		return nil
	}
	m.errors.Add(1)
	if quality == sensor.QualityBadTimeout {
		d.suspect = d.suspect || !isException(err) // a gateway that says so has given up on it
		d.silent = min(d.silent+1, 6)
		d.askAt = time.Now().Add(m.cfg.Timeout/2<<d.silent - m.cfg.Timeout/2)
	}
	d.failure = err
	return err
}

// tell shows which devices of an open bus are in trouble.
func (m *Modbus) tell() {
	if m.bus.absent {
		return // why stands there
	}
	detail := m.cfg.URL
	for _, d := range m.devices {
		if d.trouble != "" {
			detail += "; " + d.trouble
		}
		if d.slow {
			detail += fmt.Sprintf("; unit %d: polled late: the bus is slower than its interval of %s", d.Unit, d.Interval)
		}
	}
	m.set(StateOpen, detail)
}

// deliver hands over the report of one request.
func (m *Modbus) deliver(d *modbusDevice, q *modbus.Request, data []byte, quality sensor.Quality, sink Sink) error {
	r := sensor.Report{Origin: sensor.OriginModbus, Address: q.Text(d.Unit), Payload: data}
	if quality == sensor.QualityGood {
		m.decode(&r, func() { r.Readings = q.Readings(d.Sensor, data, nil) })
		if r.Reason != "" {
			m.rejected.Add(1)
		}
	} else {
		r.Readings = q.Failed(d.Sensor, quality, nil)
	}
	wall, mono := m.cfg.Clock.Now()
	if quality == sensor.QualityGood {
		m.received(len(data), wall)
	}
	b := &Batch{Stream: "modbus", ReceivedAt: wall, Monotonic: mono, Lines: []Line{reportLine(&r)}}
	m.lines(b)
	return sink.Deliver(b)
}

// errNoBus says that the bus cannot be opened now.
var errNoBus = errors.New("not open")
