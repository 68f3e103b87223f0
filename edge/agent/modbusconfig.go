package agent

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"landfall/decoders/sensor/modbus"
	"landfall/edge/config"
	"landfall/edge/source"
)

// ModbusConfig polls the devices of one bus.
type ModbusConfig struct {
	URL      string               `yaml:"url"`       // tcp://host:502, rtu:///dev/… or rtuovertcp://host:port; required
	Baud     int                  `yaml:"baud"`      // of a serial line; 0: 19200
	Parity   string               `yaml:"parity"`    // none, even or odd; empty: even
	StopBits int                  `yaml:"stop_bits"` // 0: 1, without parity 2
	Timeout  time.Duration        `yaml:"timeout"`   // 0: 1 s
	Interval time.Duration        `yaml:"interval"`  // of devices that name none; 0: 10 s
	Devices  []ModbusDeviceConfig `yaml:"devices"`   // at least one
}

// ModbusDeviceConfig is one device and its register map.
type ModbusDeviceConfig struct {
	Unit      *int                   `yaml:"unit"`     // absent: 1
	Sensor    string                 `yaml:"sensor"`   // required
	Interval  time.Duration          `yaml:"interval"` // 0: that of the bus
	Registers []ModbusRegisterConfig `yaml:"registers"`
}

// ModbusRegisterConfig is one value.
type ModbusRegisterConfig struct {
	Address string  `yaml:"address"` // 40001, or holding:0; required
	Type    string  `yaml:"type"`    // empty: uint16, of coils and discrete inputs bool
	Order   string  `yaml:"order"`   // abcd, cdab, badc or dcba; empty: abcd
	Metric  string  `yaml:"metric"`  // required
	Unit    string  `yaml:"unit"`    // of the value
	Scale   float64 `yaml:"scale"`   // 0: 1
	Offset  float64 `yaml:"offset"`  // added after scaling
}

func (m *ModbusConfig) validate(p *config.Problems, key string) {
	u, err := url.Parse(m.URL)
	good := err == nil && (u.Scheme == "rtu" && u.Host == "" && u.Path != "" || (u.Scheme == "tcp" || u.Scheme == "rtuovertcp") && config.IsAddress(u.Host))
	p.Add(good, key+".url", strconv.Quote(m.URL), "a URL like tcp://plc:502, rtu:///dev/ttyUSB0 or rtuovertcp://converter:4001")
	p.Add(m.Baud >= 0, key+".baud", strconv.Itoa(m.Baud), "a rate like 19200, or 0 for it")
	p.Add(strings.Contains(" none even odd ", " "+m.Parity), key+".parity", strconv.Quote(m.Parity), "none, even or odd")
	p.Add(m.StopBits >= 0 && m.StopBits <= 2, key+".stop_bits", strconv.Itoa(m.StopBits), "1 or 2")
	p.Add(m.Timeout == 0 || m.Timeout >= 10*time.Millisecond && m.Timeout <= time.Minute, key+".timeout", m.Timeout.String(), "a time from 10ms to 1m")
	p.Add(m.Interval >= 0, key+".interval", m.Interval.String(), "a time of 0s (the default) or more")
	p.Add(len(m.Devices) > 0, key+".devices", "none", "at least one device")
	for i := range m.Devices {
		d, key := &m.Devices[i], fmt.Sprintf("%s.devices[%d]", key, i)
		p.Add(d.unit() >= 0 && d.unit() <= 255, key+".unit", strconv.Itoa(d.unit()), "a number from 0 to 255")
		p.Add(d.Sensor != "", key+".sensor", "", "the sensor's name")
		p.Add(d.Interval == 0 || d.Interval >= 10*time.Millisecond, key+".interval", d.Interval.String(), "a time of at least 10ms")
		p.Add(len(d.Registers) > 0, key+".registers", "none", "at least one register")
		for j := range d.Registers {
			d.Registers[j].validate(p, fmt.Sprintf("%s.registers[%d]", key, j))
		}
	}
}

func (r *ModbusRegisterConfig) validate(p *config.Problems, key string) {
	m, err := r.register()
	p.Add(err == nil, key+".address", strconv.Quote(r.Address), "an address like 40001, 400001 or holding:0 (coil, discrete, input, holding)")
	p.Add(m.Type.Registers() > 0 && (!m.Table.Bits() || m.Type == modbus.Bool), key+".type", strconv.Quote(r.Type), "bool, int16, uint16, int32, uint32, int64, uint64, float32 or float64; of coils and discrete inputs bool")
	p.Add(m.Order.Valid(), key+".order", strconv.Quote(r.Order), "abcd, cdab, badc or dcba")
	p.Add(r.Metric != "", key+".metric", "", "the metric's name")
}

func (d *ModbusDeviceConfig) unit() int {
	if d.Unit == nil {
		return 1
	}
	return *d.Unit
}

// register gives what a source takes of it.
func (r *ModbusRegisterConfig) register() (modbus.Register, error) {
	table, address, err := modbus.ParseAddress(r.Address)
	m := modbus.Register{
		Table: table, Address: address, Type: modbus.Type(r.Type), Order: modbus.Order(r.Order), Metric: r.Metric, Unit: r.Unit, Scale: r.Scale, Offset: r.Offset,
	}
	if m.Type == "" {
		m.Type = modbus.Uint16
		if table.Bits() {
			m.Type = modbus.Bool
		}
	}
	return m, err
}

// newModbus makes a source that polls.
func (m *ModbusConfig) newModbus(o source.Options) (part, error) {
	c := source.ModbusConfig{Options: o, URL: m.URL, Baud: m.Baud, Parity: m.Parity, StopBits: m.StopBits, Timeout: m.Timeout}
	for i := range m.Devices {
		d := &m.Devices[i]
		device := source.ModbusDevice{Unit: uint8(d.unit()), Sensor: d.Sensor, Interval: d.Interval}
		if device.Interval == 0 {
			device.Interval = m.Interval
		}
		if device.Interval == 0 {
			device.Interval = 10 * time.Second
		}
		for j := range d.Registers {
			r, err := d.Registers[j].register()
			if err != nil {
				return nil, fmt.Errorf("source %s: %w", o.Name, err)
			}
			device.Registers = append(device.Registers, r)
		}
		c.Devices = append(c.Devices, device)
	}
	return source.NewModbus(c)
}
