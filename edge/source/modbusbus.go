package source

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
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
	if err != nil {
		b.wait = min(max(2*b.wait, minBackoff), maxBackoff)
		b.openAt = time.Now().Add(b.wait)
		b.meter.fault(StateAbsent, fmt.Errorf("open %s: %w", b.cfg.URL, err))
		return err
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
// closes the bus, and with it drops what may still come.
func (b *modbusBus) read(unit uint8, q *modbus.Request) ([]byte, sensor.Quality) {
	for again := false; ; again = true {
		if err := b.open(); err != nil {
			return nil, sensor.QualityBadConnection
		}
		data, err := b.ask(unit, q)
		quality := qualityOf(err)
		if err == nil || quality == sensor.QualityBadException {
			return data, quality
		}
		b.close()
		if quality != sensor.QualityBadFrame || again {
			return nil, quality
		}
	}
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
	case errors.Is(err, client.ErrRequestTimedOut), errors.As(err, &network) && network.Timeout():
		return sensor.QualityBadTimeout
	case errors.As(err, &e) && strings.Contains("bad crc, short frame, protocol error, bad unit id, bad transaction id, unknown protocol identifier", string(e)):
		return sensor.QualityBadFrame
	case errors.As(err, &e), strings.HasPrefix(err.Error(), "unknown exception code"):
		return sensor.QualityBadException
	}
	return sensor.QualityBadConnection
}
