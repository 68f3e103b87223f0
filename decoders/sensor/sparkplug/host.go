package sparkplug

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"landfall/decoders/sensor"
)

// Reasons why a message gives no readings.
const (
	RejectTopic    = "sparkplug_topic"     // not spBv1.0/group/type/node or …/device
	RejectPayload  = "sparkplug_payload"   // no Sparkplug B payload
	RejectNoBirth  = "sparkplug_no_birth"  // data of a node or device whose birth was not seen
	RejectOldDeath = "sparkplug_old_death" // the death of an earlier session of a node that is born again
	RejectControl  = "sparkplug_control"   // a command, or a host's state: no readings
	RejectNoValues = "sparkplug_no_values" // nothing in it, or nothing that is known
)

// Verdict is what a message means beside its readings.
type Verdict struct {
	Lost    uint64 // messages of the node that are missing before this one, at least
	Rebirth string // "group/node" that should give its births again; empty: none
}

// Host keeps what births said.
type Host struct {
	nodes map[string]*node
	turn  uint64 // counts messages
	bytes int    // of them in memory, about
}

// node is an edge node with its devices.
type node struct {
	born    bool
	bdSeq   uint64
	next    uint8 // sequence number expected
	aliases map[uint64]*known
	devices map[string]*device // "" is the node itself
	bytes   int                // of it in memory, about
	heard   uint64             // the host's turn when it spoke last
}

// device is what a birth named.
type device struct {
	born    bool
	sensor  string
	metrics map[string]*known
	bytes   int // of it in memory, about
}

// known is a metric of a birth.
type known struct {
	device   *device
	name     string
	datatype uint64
	unit     string
}

// NewHost makes a Host that knows nothing.
func NewHost() *Host { return &Host{nodes: map[string]*node{}} }

// maxNodes and maxKnown bound what senders can make a Host remember.
const (
	maxNodes = 1 << 12
	maxKnown = 1 << 16
	MaxBytes = 32 << 20
	ofKnown  = 256 // bytes of a node, device or metric beside its names
)

// bound forgets those nodes that take the most, so that the others are known on. One
// that speaks again is asked for its births.
func (h *Host) bound() {
	for h.bytes > MaxBytes {
		most, id := 0, ""
		for name, n := range h.nodes {
			if n.bytes > most || n.bytes == most && name < id {
				most, id = n.bytes, name
			}
		}
		delete(h.nodes, id)
		h.bytes -= most
	}
}

// forgetOldest forgets the node that spoke the longest ago.
func (h *Host) forgetOldest() {
	oldest := ""
	for id, n := range h.nodes {
		if oldest == "" || n.heard < h.nodes[oldest].heard {
			oldest = id
		}
	}
	h.bytes -= h.nodes[oldest].bytes
	delete(h.nodes, oldest)
}

// Nodes lists the nodes known, as "group/node", in order: after a new
// connection they are asked for their births, because what was said meanwhile
// is lost.
func (h *Host) Nodes() []string {
	var all []string
	for name := range h.nodes {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Read fills r with the readings of r.Payload, a message of the topic r.Address.
func (h *Host) Read(r *sensor.Report) Verdict {
	r.Readings = r.Readings[:0]
	levels := strings.Split(r.Address, "/")
	if len(levels) >= 2 && (levels[0] == "STATE" || levels[1] == "STATE") {
		r.Reason = RejectControl
		return Verdict{}
	}
	if len(levels) < 4 || len(levels) > 5 || levels[0] != "spBv1.0" {
		r.Reason = RejectTopic
		return Verdict{}
	}
	group, kind, name, deviceName := levels[1], levels[2], levels[3], ""
	if len(levels) == 5 {
		deviceName = levels[4]
	}
	if kind == "NCMD" || kind == "DCMD" {
		r.Reason = RejectControl
		return Verdict{}
	}
	p, err := decode(r.Payload)
	if err != nil {
		r.Reason = RejectPayload
		return Verdict{}
	}
	id := group + "/" + name
	n := h.nodes[id]
	if n == nil {
		if len(h.nodes) >= maxNodes {
			h.forgetOldest()
		}
		n = &node{aliases: map[uint64]*known{}, devices: map[string]*device{}}
		h.nodes[id] = n
		n.bytes = ofKnown + len(id)
		h.bytes += n.bytes
	}
	h.turn++
	n.heard = h.turn
	defer func(before int) {
		h.bytes += n.bytes - before
		h.bound()
	}(n.bytes)
	v := Verdict{}
	switch {
	case kind == "NBIRTH" && deviceName == "":
		n.birth(id, &p)
		n.read(r, n.devices[""], &p)
	case kind == "NDEATH" && deviceName == "":
		n.death(r, &p)
	case kind == "NDATA" && deviceName == "", (kind == "DBIRTH" || kind == "DDATA" || kind == "DDEATH") && deviceName != "":
		v = n.session(r, id, kind, deviceName, &p)
	default:
		r.Reason = RejectTopic
		return Verdict{}
	}
	if r.Reason == "" && len(r.Readings) == 0 {
		r.Reason = RejectNoValues
	}
	return v
}

// birth begins a node's session: what was known of it holds no more.
func (n *node) birth(id string, p *payload) {
	n.born, n.next = true, uint8(p.seq)+1
	clear(n.aliases)
	clear(n.devices)
	n.bytes = ofKnown + len(id)
	n.name(id, "", p)
	for i := range p.metrics {
		if p.metrics[i].name == "bdSeq" {
			n.bdSeq = p.metrics[i].number
		}
	}
}

// name takes the metrics that a birth of a device names.
func (n *node) name(sensorName, deviceName string, p *payload) {
	d := &device{born: true, sensor: sensorName, metrics: map[string]*known{}, bytes: ofKnown + len(sensorName) + len(deviceName)}
	for i := range p.metrics {
		m := &p.metrics[i]
		if isControl(m.name) || len(n.aliases) >= maxKnown || len(d.metrics) >= maxKnown {
			continue
		}
		k := &known{device: d, name: m.name, datatype: m.datatype, unit: m.unit}
		d.metrics[m.name] = k
		d.bytes += ofKnown + len(m.name) + len(m.unit)
		if m.hasAlias {
			n.aliases[m.alias] = k
		}
	}
	if before := n.devices[deviceName]; before != nil {
		n.bytes -= before.bytes
	}
	n.devices[deviceName] = d
	n.bytes += d.bytes
}

func isControl(name string) bool {
	return name == "bdSeq" || strings.HasPrefix(name, "Node Control/") || strings.HasPrefix(name, "Device Control/")
}

// session takes a message within a node's session, whose number must be the
// next.
func (n *node) session(r *sensor.Report, id, kind, deviceName string, p *payload) Verdict {
	v := Verdict{}
	if !n.born {
		r.Reason = RejectNoBirth
		return Verdict{Rebirth: id}
	}
	if p.hasSeq {
		if missing := uint8(p.seq) - n.next; missing != 0 {
			v = Verdict{Lost: uint64(missing), Rebirth: id}
		}
		n.next = uint8(p.seq) + 1
	}
	if kind == "DBIRTH" {
		n.name(id+"/"+deviceName, deviceName, p)
	}
	d := n.devices[deviceName]
	switch {
	case d == nil || !d.born:
		r.Reason = RejectNoBirth
		v.Rebirth = id
	case kind == "DDEATH":
		d.die(r, p)
	default:
		if !n.read(r, d, p) {
			v.Rebirth = id
		}
	}
	return v
}

// death ends a node's session, unless it is an earlier one's, which a broker may
// send after the birth of the next. One that is ahead is of a session whose birth
// was missed, or of a node that counts on too soon: dead it is either way. bdSeq
// runs from 0 to 255 (Sparkplug 3.0, 6.4.1).
func (n *node) death(r *sensor.Report, p *payload) {
	for i := range p.metrics {
		if m := &p.metrics[i]; m.name == "bdSeq" && n.born && int8(uint8(m.number)-uint8(n.bdSeq)) < 0 {
			r.Reason = RejectOldDeath
			return
		}
	}
	names := make([]string, 0, len(n.devices))
	for name := range n.devices {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n.devices[name].die(r, p)
	}
	n.born = false
}

// die makes all metrics of a device stale.
func (d *device) die(r *sensor.Report, p *payload) {
	if !d.born {
		return
	}
	d.born = false
	names := make([]string, 0, len(d.metrics))
	for name := range d.metrics {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names[:min(len(names), sensor.MaxReadings-len(r.Readings))] {
		g := sensor.Reading{Sensor: d.sensor, Metric: name, Unit: d.metrics[name].unit, Quality: sensor.QualityBadStale}
		g.Time, g.HasTime = micros(p.timestamp)
		r.Readings = append(r.Readings, g)
	}
}

// read adds the readings of a device's metrics, and says whether all of them
// were known.
func (n *node) read(r *sensor.Report, d *device, p *payload) bool {
	all := true
	for i := range p.metrics {
		m := &p.metrics[i]
		k := d.metrics[m.name]
		if m.name == "" && m.hasAlias {
			k = n.aliases[m.alias]
		}
		switch {
		case isControl(m.name):
			continue
		case k == nil && m.name == "":
			k = &known{device: d, name: fmt.Sprintf("alias:%d", m.alias), datatype: m.datatype}
			all = false
		case k == nil:
			k = &known{device: d, name: m.name, datatype: m.datatype, unit: m.unit}
			all = false
		}
		if len(r.Readings) > sensor.MaxReadings {
			continue // too many already: Append says so
		}
		r.Readings = append(r.Readings, m.reading(k, p.timestamp))
	}
	return all
}

// reading makes the reading of a metric.
func (m *metric) reading(k *known, fallback uint64) sensor.Reading {
	g := sensor.Reading{Sensor: k.device.sensor, Metric: k.name, Unit: k.unit, Historical: m.historical}
	at := m.timestamp
	if at == 0 {
		at = fallback
	}
	g.Time, g.HasTime = micros(at)
	datatype := m.datatype
	if datatype == 0 {
		datatype = k.datatype
	}
	switch {
	case m.null || m.has == noField:
	case m.has == stringField:
		g.Kind, g.Text = sensor.Text, m.text
	case m.has > stringField: // a data set, a template, bytes: no value of one number or text
		g.Quality = sensor.QualityBadValue
	case datatype == typeDateTime:
		g.Kind, g.Text = sensor.Text, time.UnixMilli(int64(m.number)).UTC().Format("2006-01-02T15:04:05.000Z")
	default:
		g.Kind, g.Number = sensor.Number, m.value(datatype)
	}
	if m.hasQuality && g.Quality == sensor.QualityUnknown {
		g.Quality = map[uint64]sensor.Quality{0: sensor.QualityBad, 192: sensor.QualityGood, 500: sensor.QualityBadStale}[m.quality]
	}
	return g
}

// micros makes a time of milliseconds; false where it cannot be one.
func micros(millis uint64) (int64, bool) {
	if millis > 1<<50 || !sensor.Believable(int64(millis)*1000) {
		return 0, false
	}
	return int64(millis) * 1000, true
}
