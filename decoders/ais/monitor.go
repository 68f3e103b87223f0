package ais

// Monitor is how an aid to navigation is: application 235/10 of type 6 (United
// Kingdom) or 250/10 (Ireland), AtoN monitoring data of the General Lighthouse
// Authorities (IALA recommendation A-126, annex). Columns monitor_*.
type Monitor struct {
	// MonitorSupplyVoltage is the AIS unit's supply, MonitorVoltage1 and
	// MonitorVoltage2 the external analogue inputs, in volts.
	MonitorSupplyVoltage, MonitorVoltage1, MonitorVoltage2 Opt[float64]
	// MonitorRacon is 0 none, 1 not monitored, 2 operational, 3 in error.
	MonitorRacon Opt[uint8]
	// MonitorLight is 0 none or not monitored, 1 on, 2 off, 3 in error.
	MonitorLight Opt[uint8]
	// MonitorAlarm is true for bad health.
	MonitorAlarm Opt[bool]
	// MonitorInputs is the eight digital inputs, input 7 highest.
	MonitorInputs Opt[uint8]
	// MonitorOffPosition is true for an aid that has left its place.
	MonitorOffPosition Opt[bool]
}

// The whole message has 136 bits, of which four are spare.
const (
	minMonitor = 132
	maxMonitor = 136
)

// read reads the application.
func (m *Monitor) read(b *bits) {
	if b.n < minMonitor || b.n > maxMonitor {
		return
	}
	*m = Monitor{
		MonitorSupplyVoltage: volts(b.uint(88, 10)),
		MonitorVoltage1:      volts(b.uint(98, 10)),
		MonitorVoltage2:      volts(b.uint(108, 10)),
		MonitorRacon:         Some(uint8(b.uint(118, 2))),
		MonitorLight:         Some(uint8(b.uint(120, 2))),
		MonitorAlarm:         Some(b.flag(122)),
		MonitorInputs:        Some(uint8(b.uint(123, 8))),
		MonitorOffPosition:   Some(b.flag(131)),
	}
}

// volts: 0.05 V; 0 is not used.
func volts(raw uint32) Opt[float64] { return optional(float64(raw)/20, raw != 0) }
