package source

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/modbus"
)

// hostileAnswer is what a Modbus device (TCP) says to a request: near to an answer that
// is right, or not.
func hostileAnswer(rng *rand.Rand, request []byte) []byte {
	if len(request) < 12 {
		return nil
	}
	count := int(binary.BigEndian.Uint16(request[10:12]))
	bytes := 2 * count
	if request[7] <= 2 {
		bytes = (count + 7) / 8
	}
	answer := append(append([]byte{}, request[:7]...), request[7], byte(bytes))
	for range bytes {
		answer = append(answer, byte(rng.Uint32()))
	}
	length := len(answer) - 6
	switch rng.IntN(12) {
	case 0: // another transaction
		answer[0] ^= byte(rng.Uint32())
	case 1: // another protocol, or unit
		answer[2+4*rng.IntN(2)] ^= byte(rng.Uint32())
	case 2: // another function, also a refusal
		answer[7] = byte(rng.Uint32())
	case 3: // a count that is not true
		answer[8] = byte(rng.Uint32())
	case 4: // fewer bytes, or more
		answer = append(answer[:rng.IntN(len(answer)+1)], make([]byte, rng.IntN(300))...)
		length = len(answer) - 6
	case 5: // a length that is not true
		length = int(rng.Uint32() & 0xffff)
	case 6: // a refusal
		answer = append(answer[:7], request[7]|0x80, byte(rng.Uint32()))
		length = 3
	case 7: // without end
		answer = append(answer, make([]byte, 1<<16)...)
	case 8: // nothing like it
		for i := range answer {
			answer[i] = byte(rng.Uint32())
		}
		return answer
	case 9: // an answer twice
		answer = append(answer, answer...)
	}
	if len(answer) >= 6 {
		binary.BigEndian.PutUint16(answer[4:], uint16(max(length, 0)))
	}
	return answer
}

// hostileSlave is a bus with a device that answers so.
func hostileSlave(t testing.TB, seed uint64, turns int) {
	rng, says, before := rand.New(rand.NewPCG(seed, 10)), rand.New(rand.NewPCG(seed, 12)), heap()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan bool)
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p := make([]byte, 12)
			for {
				if _, err := io.ReadFull(conn, p); err != nil {
					break
				}
				answer := hostileAnswer(says, p)
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				if n := says.IntN(len(answer) + 1); says.IntN(4) == 0 { // it drips, or stops
					_, _ = conn.Write(answer[:n])
					if answer = answer[n:]; says.IntN(2) == 0 {
						break
					}
				}
				if _, err := conn.Write(answer); err != nil {
					break
				}
			}
			_ = conn.Close()
		}
	}()
	m := &meter{}
	o := options("bus")
	m.init(&o, "modbus", false)
	b := &modbusBus{meter: m, cfg: &ModbusConfig{Options: o, URL: "tcp://" + ln.Addr().String(), Timeout: 5 * time.Millisecond}}
	good := 0
	for range turns {
		q := &modbus.Request{Table: []modbus.Table{modbus.Holding, modbus.Input, modbus.Coils, modbus.Discrete}[rng.IntN(4)], Address: uint16(rng.Uint32()), Count: uint16(1 + rng.IntN(100))}
		want := int(q.Count)
		if !q.Table.Bits() {
			want *= 2
		}
		data, err := b.read(uint8(rng.Uint32()), q)
		switch quality := qualityOf(err); {
		case err == nil && len(data) != want:
			t.Fatalf("%d bytes for %+v", len(data), q)
		case err == nil:
			good++
		case quality == sensor.QualityGood || quality == sensor.QualityUnknown:
			t.Fatalf("%v has quality %v", err, quality)
		}
		b.openAt = time.Time{} // this test does not wait
	}
	b.close()
	_ = ln.Close()
	<-served
	if turns > 100 && good == 0 {
		t.Error("no answer was taken")
	}
	if now := heap(); now > before+hostileMemory {
		t.Fatalf("%d MiB are held, %d before", now>>20, before>>20)
	}
}

// TestHostileSlave: a device that answers anything gives as many bytes as were asked for,
// or a bad reading.
func TestHostileSlave(t *testing.T) { hostileSlave(t, 1, 5*hostileTurns()) }

// FuzzHostileSlave plays seeds.
func FuzzHostileSlave(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { hostileSlave(t, seed, 20) })
}
