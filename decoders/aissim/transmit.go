package aissim

// slotAt returns the start of the slot that t lies in and its number 0..2249.
func slotAt(t int64) (start int64, slot uint32) {
	begin := t / minute * minute
	slot = uint32((t - begin) * slotsPerMinute / minute)
	return begin + int64(slot)*minute/slotsPerMinute, slot
}

// sotdma is a communication state: synchronised to UTC, and by the slot
// time-out one of: received stations, slot number, UTC hour and minute, offset.
func (h *Harbour) sotdma(s *station, t int64, slot uint32) uint32 {
	if s.timeout == 0 {
		s.timeout = 8
	}
	s.timeout--
	var sub uint32
	switch s.timeout {
	case 0:
		sub = 750
	case 1:
		_, _, _, hour, min, _ := civil(t)
		sub = hour<<9 | min<<2
	case 2, 4, 6:
		sub = slot
	default:
		sub = uint32(min(len(h.fleet), 16383))
	}
	return uint32(s.timeout)<<14 | sub
}

// fixSecond is the UTC second of a position fix up to 0.9 s before the time t.
func (h *Harbour) fixSecond(t int64) uint32 {
	return uint32((t - int64(h.rand.Uint32N(900_000))) / second % 60)
}

// position sends a ship's, a base station's or an aid's report.
func (h *Harbour) position(s *station, t int64) {
	sent, slot := slotAt(t)
	fix := h.fixSecond(sent)
	w := h.begin()
	msgType := uint8(1)
	switch s.kind {
	case classA:
		state := uint32(0)
		if h.rand.Uint32()%8 == 0 {
			msgType = 3
			state = h.rand.Uint32N(2250)<<4 | 1 // ITDMA: slot increment, one slot, kept
		} else {
			state = h.sotdma(s, sent, slot)
		}
		w.positionA(msgType, s, fix, state)
	case classB:
		msgType = 18
		w.positionB(s, fix)
	case baseStation:
		msgType = 4
		w.base(4, s, sent, h.sotdma(s, sent, slot))
	default:
		msgType = 21
		w.aid(s, fix)
	}
	h.send(w, msgType, s.mmsi, sent)
}

// static sends a ship's type 5 or 24 part A.
func (h *Harbour) static(s *station, t int64) {
	if s.kind == classB {
		h.transmit(24, s, t, func(w *writer) { w.staticA(s) })
		return
	}
	h.transmit(5, s, t, func(w *writer) { w.static(s) })
}

// rare sends the next of the less frequent types.
func (h *Harbour) rare(sar *station, t int64) {
	sent, slot := slotAt(t)
	sar.move(t, h.rand)
	msgType := rareTypes[h.rareNext]
	h.rareNext = (h.rareNext + 1) % len(rareTypes)
	x := rareMessage{
		ship: h.any(classA), other: h.any(classA), boat: h.any(classB), base: h.any(baseStation),
		sar: sar, second: uint8(h.fixSecond(sent)), rand: h.rand,
	}
	switch msgType {
	case 6, 10, 12:
		h.rareShip, h.rarePeer = x.ship, x.other
		if msgType == 10 {
			h.rarePeer = x.base
		}
	case 7, 11, 13:
		x.ship, x.other = h.rareShip, h.rarePeer
	}
	w := h.begin()
	switch msgType {
	case 2:
		x.ship.move(t, h.rand)
		w.positionA(2, x.ship, uint32(x.second), h.sotdma(x.ship, sent, slot))
		h.send(w, 2, x.ship.mmsi, sent)
		return
	case 11:
		w.base(11, x.other, sent, h.sotdma(x.other, sent, slot))
		h.send(w, 11, x.other.mmsi, sent)
		return
	}
	x.state = h.sotdma(sar, sent, slot)
	packet := x.build(msgType)
	for _, bit := range h.codec.EncodePacket(packet) {
		w.put(uint32(bit), 1)
	}
	h.send(w, msgType, packet.GetHeader().UserID, sent)
}

// any returns a random station of the kind; when the harbour has none, one of
// its own making that sends nothing else.
func (h *Harbour) any(kind stationKind) *station {
	if all := h.byKind[kind]; len(all) > 0 {
		return &h.fleet[all[h.rand.IntN(len(all))]]
	}
	s := newShip(999_000, h.cfg.Start, h.rand)
	s.kind = kind
	if kind == baseStation {
		s.mmsi = 2_009_999
	}
	return &s
}

// transmit sends what write writes.
func (h *Harbour) transmit(msgType uint8, s *station, t int64, write func(*writer)) {
	sent, _ := slotAt(t)
	w := h.begin()
	write(w)
	h.send(w, msgType, s.mmsi, sent)
}

// begin starts a payload.
func (h *Harbour) begin() *writer {
	h.out.w = writer{buf: h.out.arena.open(256)}
	return &h.out.w
}

// send hands the written payload to every receiver that hears it.
func (h *Harbour) send(w *writer, msgType uint8, mmsi uint32, sent int64) {
	fill := w.finish()
	h.message++
	h.out.deliver(Line{
		Sent: sent, Message: h.message, MsgType: msgType, MMSI: mmsi,
		Channel: 'A' + byte(h.message&1), Payload: h.out.arena.keep(w.buf), Fill: fill,
	})
}
