package vm

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"
)

// monitor speaks QMP, QEMU's machine protocol (docs/interop/qmp-spec of QEMU):
// a JSON object a line, answers in the order of the commands, events between.
type monitor struct {
	conn net.Conn
	in   *json.Decoder
}

func newMonitor(conn net.Conn) (*monitor, error) {
	m := &monitor{conn, json.NewDecoder(conn)}
	var greeting struct{ QMP json.RawMessage }
	if err := m.in.Decode(&greeting); err != nil {
		return nil, fmt.Errorf("read the greeting: %w", err)
	}
	return m, m.do("qmp_capabilities", nil)
}

// do gives a command and waits for its answer.
func (m *monitor) do(command string, arguments map[string]any) error {
	if err := m.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if arguments == nil {
		arguments = map[string]any{}
	}
	if err := json.NewEncoder(m.conn).Encode(map[string]any{"execute": command, "arguments": arguments}); err != nil {
		return fmt.Errorf("say %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := m.in.Decode(&answer); err != nil {
			return fmt.Errorf("read the answer to %s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", command, answer.Error.Desc)
		case answer.Return != nil:
			return nil
		}
	}
}

// Adapter is a USB adapter with one serial line.
type Adapter struct {
	Line string // of Config.Lines
	Port int    // of the bus, from 1 to 4: by-path names end in -usb-0:<port>:1.0-port0
	// Serial is its serial number: /dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_<serial>-if00-port0.
	// Cheap adapters all have the same.
	Serial string
}

// Plug plugs an adapter in. The machine sees an FT232.
func (m *Machine) Plug(a Adapter) {
	m.t.Helper()
	m.order("device_add", map[string]any{"driver": "usb-serial", "bus": "usb.0", "port": strconv.Itoa(a.Port), "chardev": a.Line, "id": a.Line, "serial": a.Serial, "always-plugged": true})
}

// Unplug pulls an adapter out, whatever is on the way in it.
func (m *Machine) Unplug(a Adapter) {
	m.t.Helper()
	m.order("device_del", map[string]any{"id": a.Line})
}

// Line gives this end of a line: what is written to it waits until an adapter is
// there that takes it. It is asked for once.
func (m *Machine) Line(name string) net.Conn {
	m.t.Helper()
	return m.dial(name)
}

// Freeze stops the processor, so that nothing takes what a line receives.
func (m *Machine) Freeze() {
	m.t.Helper()
	m.order("stop", nil)
}

// Thaw lets the processor go on.
func (m *Machine) Thaw() {
	m.t.Helper()
	m.order("cont", nil)
}

// Break has a line receive a break.
func (m *Machine) Break(line string) {
	m.t.Helper()
	m.order("chardev-send-break", map[string]any{"id": line})
}

func (m *Machine) order(command string, arguments map[string]any) {
	m.t.Helper()
	if err := m.monitor.do(command, arguments); err != nil {
		m.t.Fatalf("QEMU: %v", err)
	}
}
