package main

// messageMutants are of what one message may take or do at the gateway.
func messageMutants() []mutant {
	sensor, host := []string{"-run", "Bound|Fields|JSON", "./decoders/sensor"}, []string{"-run", "Speaks|OneMessage", "./decoders/sensor/sparkplug"}
	source := []string{"-run", "APanic|Rejected", "./edge/source"}
	page := []string{"-timeout", "60s", "-run", "Connections|Places", "./edge/page"}
	packets := []string{"-run", "PacketsThatNoBroker|SubscriptionIsAnswered", "./edge/source"}
	return []mutant{
		{"a broker answers for as many filters as were asked for", "edge/source/mqttpacket.go",
			"		want += c.filters", "		want = length", packets},
		{"a subscription is answered", "edge/source/mqttlink.go",
			"len(result) != len(l.filters)", "false", packets},
		{"there is no QoS 3", "edge/source/mqttpacket.go",
			"		if first>>1&3 == 3 {", "		if false {", packets},
		{"a message has a topic", "edge/source/mqttpacket.go",
			"topic[0] == 0 && topic[1] == 0", "topic == nil", packets},
		{"packets of a broker have their length", "edge/source/mqttpacket.go",
			"	if length != want {", "	if false {", packets},
		{"what waits for a tap is bounded in bytes", "edge/tap/feed.go",
			"l.bytes.Load() >= roomBytes", "l.bytes.Load() < 0", []string{"-timeout", "60s", "-run", "Slow", "./edge/tap"}},
		{"what a tap has read makes room", "edge/tap/feed.go",
			"			l.bytes.Add(-w.bytes)\n", "", []string{"-timeout", "60s", "-run", "Slow", "./edge/tap"}},
		{"connections to the page are bounded", "edge/page/places.go",
			"	if len(p.all) >= p.max {", "	if false {", page},
		{"a connection on which something is asked keeps its place", "edge/page/places.go",
			"		delete(p.quiet, conn)\n	case state == http.StateIdle:", "	case state == http.StateIdle:", page},
		{"places on the page are given back", "edge/page/places.go",
			"state == http.StateClosed ||", "", page},
		{"a name is not built beyond its bound", "decoders/sensor/mapping.go",
			"		name += k[:min(len(k), MaxNameBytes+1-len(name))]", "		name = path + k", sensor},
		{"a name that is too long ends the report", "decoders/sensor/mapping.go",
			"			if len(name) > MaxNameBytes {\n				return false\n			}\n", "", sensor},
		{"a name of a topic is not built beyond its bound", "decoders/sensor/mapping.go",
			"b.Len() <= MaxNameBytes {", "b.Len() >= 0 {", sensor},
		{"levels of a topic are cut in names", "decoders/sensor/mapping.go",
			"b.WriteString(bounded(topic))", "b.WriteString(topic)", sensor},
		{"fields of a payload are bounded", "decoders/sensor/object.go",
			"const MaxFields = 4 * MaxReadings", "const MaxFields = 400 * MaxReadings", sensor},
		{"lists are not read for a text that they do not fit into", "decoders/sensor/object.go",
			"*room < 0", "*room < -1<<30", sensor},
		{"of two fields of one name the last counts", "decoders/sensor/object.go",
			"		all[name] = p.value()", "		if v := p.value(); all[name] == nil {\n			all[name] = v\n		}", sensor},
		{"a message that does not fit is counted as rejected", "decoders/sensor/report.go",
			"			r.Reason = RejectTooManyReadings\n", "			r := &Report{Origin: r.Origin, Address: r.Address, Payload: r.Payload, Reason: RejectTooManyReadings}\n", source},
		{"a panic of a mapping is a record", "edge/source/mqtt.go",
			"		if p := recover(); p != nil {", "		if p := any(nil); p != nil {", source},
		{"a panic of a decoder of lines is a record", "edge/capture/panics.go",
			"			m.own, err = stated{}, errPanic", "			panic(what)", []string{"-run", "APanic", "./edge/capture"}},
		{"a panic while a line is cut is a record", "edge/capture/panics.go",
			"			c.pieces = append(c.pieces[:0], nmea.Sentence{Kind: nmea.KindText, Raw: line})", "			c.pieces = c.pieces[:0]", []string{"-run", "APanic", "./edge/capture"}},
		{"a node that spoke just now is not forgotten", "decoders/sensor/sparkplug/host.go",
			"n.heard < h.nodes[oldest].heard", "n.heard > h.nodes[oldest].heard", host},
		{"readings of one message are bounded", "decoders/sensor/sparkplug/host.go",
			"len(r.Readings) > sensor.MaxReadings", "len(r.Readings) < 0", host},
	}
}
