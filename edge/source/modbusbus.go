package source

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	client "github.com/simonvetter/modbus"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/modbus"
)

// modbusBus is one serial line or connection. It belongs to one goroutine.
type modbusBus struct {
	cfg    *ModbusConfig
	meter  *meter
	client *client.ModbusClient // nil: not open
	absent bool                 // it could not be opened
	openAt time.Time            // not opened before
	wait   time.Duration        // after the next failure to open
}

// serial says whether answers have no number of their own.
func (b *modbusBus) serial() bool { return strings.HasPrefix(b.cfg.URL, "rtu") }

// open opens the bus unless it is; what lies in its input is discarded.
func (b *modbusBus) open() error {
	if b.client != nil {
		return nil
	}
	if time.Now().Before(b.openAt) {
		return errNoBus
	}
	err := b.connect()
	if b.absent = err != nil; err != nil {
		b.wait = min(max(2*b.wait, minBackoff), maxBackoff)
		b.openAt = time.Now().Add(b.wait)
		b.meter.fault(StateAbsent, fmt.Errorf("open %s: %w%s", b.cfg.URL, err, busHint(b.cfg.URL, err)))
		return fmt.Errorf("%w: %w", errNoBus, err)
	}
	b.wait = 0
	b.meter.connected(b.cfg.URL)
	return nil
}

func (b *modbusBus) connect() error {
	parity := map[string]uint{"none": client.PARITY_NONE, "odd": client.PARITY_ODD}
	c := &client.ClientConfiguration{
		URL: b.cfg.URL, Speed: uint(b.cfg.Baud), DataBits: 8, Parity: client.PARITY_EVEN, StopBits: uint(b.cfg.StopBits),
		Timeout: b.cfg.Timeout, Logger: log.New(io.Discard, "", 0), // its default is stdout
	}
	if p, ok := parity[b.cfg.Parity]; ok {
		c.Parity = p
	}
	if c.Speed == 0 {
		c.Speed = 19200
	}
	mc, err := client.NewClient(c)
	if err != nil {
		return err
	}
	if err := mc.Open(); err != nil {
		return err
	}
	b.client = mc
	return nil
}

// close closes the bus; the next read opens it again.
func (b *modbusBus) close() {
	if b.client != nil {
		_ = b.client.Close() // nothing is written that could be lost
		b.client = nil
		b.meter.disconnected()
	}
}

// read carries out one request: the registers' bytes as they came, or a byte a
// bit. A garbled answer is asked for once more. Whatever failed but a refusal
// closes the bus, and with it drops what may still come. What an error means for
// a value, qualityOf says.
func (b *modbusBus) read(unit uint8, q *modbus.Request) ([]byte, error) {
	for again := false; ; again = true {
		if err := b.open(); err != nil {
			return nil, err
		}
		data, err := b.caught(unit, q)
		if err == nil || isException(err) {
			return data, err
		}
		b.close()
		if qualityOf(err) != sensor.QualityBadFrame || again {
			return nil, err
		}
	}
}

// errBusPanic says that the client panicked on what came.
var errBusPanic = errors.New("the answer made the client panic")

// caught is ask, where a panic is a garbled answer. Error: ask's; errBusPanic.
func (b *modbusBus) caught(unit uint8, q *modbus.Request) (data []byte, err error) {
	defer func() {
		if what := recover(); what != nil {
			b.meter.log(slog.LevelError, "an answer made the client panic", "unit", unit, "request", q.Text(unit), "panic", fmt.Sprint(what), "stack", string(debug.Stack()))
			data, err = nil, fmt.Errorf("%w: %v", errBusPanic, what)
		}
	}()
	return b.ask(unit, q)
}

// ask carries out one request on an open bus.
func (b *modbusBus) ask(unit uint8, q *modbus.Request) ([]byte, error) {
	if err := b.client.SetUnitId(unit); err != nil {
		return nil, err
	}
	if !q.Table.Bits() {
		kind := client.HOLDING_REGISTER
		if q.Table == modbus.Input {
			kind = client.INPUT_REGISTER
		}
		return b.client.ReadRawBytes(q.Address, 2*q.Count, kind)
	}
	read := b.client.ReadCoils
	if q.Table == modbus.Discrete {
		read = b.client.ReadDiscreteInputs
	}
	bits, err := read(q.Address, q.Count)
	data := make([]byte, len(bits))
	for i, set := range bits {
		if set {
			data[i] = 1
		}
	}
	return data, err
}

// qualityOf says what an error of the client means for a value.
func qualityOf(err error) sensor.Quality {
	var e client.Error
	var network net.Error
	switch {
	case err == nil:
		return sensor.QualityGood
	case errors.Is(err, errNoBus):
		return sensor.QualityBadConnection
	case errors.Is(err, errBusPanic):
		return sensor.QualityBadFrame
	case errors.Is(err, client.ErrRequestTimedOut), errors.Is(err, client.ErrGWTargetFailedToRespond), errors.As(err, &network) && network.Timeout():
		return sensor.QualityBadTimeout
	case errors.As(err, &e) && strings.Contains("bad crc, short frame, protocol error, bad unit id, bad transaction id, unknown protocol identifier", string(e)):
		return sensor.QualityBadFrame
	case isException(err):
		return sensor.QualityBadException
	}
	return sensor.QualityBadConnection
}

// isException says whether an error is an answer: an exception (MODBUS Application
// Protocol V1.1b3, 7) of the device, or of a gateway before it.
func isException(err error) bool {
	return refusesPart(err) || slices.ContainsFunc(ofDevice, func(e client.Error) bool { return errors.Is(err, e) }) ||
		err != nil && strings.HasPrefix(err.Error(), "unknown exception code")
}

// ofDevice are the exceptions of a device or a gateway as a whole: asking for each
// register would only take longer.
var ofDevice = []client.Error{client.ErrAcknowledge, client.ErrServerDeviceBusy, client.ErrGWPathUnavailable, client.ErrGWTargetFailedToRespond}

// ofPart are the exceptions that one register of many may be the reason of.
var ofPart = []client.Error{client.ErrIllegalFunction, client.ErrIllegalDataAddress, client.ErrIllegalDataValue, client.ErrServerDeviceFailure, client.ErrMemoryParityError}

// refusesPart says whether a part of a request may be what is refused.
func refusesPart(err error) bool {
	return slices.ContainsFunc(ofPart, func(e client.Error) bool { return errors.Is(err, e) })
}

// busHint says what an error of opening a bus calls for.
func busHint(url string, err error) string {
	if strings.HasPrefix(url, "rtu://") {
		return serialHint(err)
	}
	return ""
}
