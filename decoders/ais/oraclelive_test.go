package ais_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"landfall/decoders/aissim"
)

// messageMaker makes messages of every type and length: a harbour's, the same
// with bits flipped, and random ones that begin like a type and an application.
type messageMaker struct {
	rng     *rand.Rand
	harbour *aissim.Harbour
}

func newMessageMaker(t testing.TB, seed uint64) *messageMaker {
	t.Helper()
	h, err := aissim.New(aissim.Config{Seed: seed, Start: 1_767_225_600_000_000, Ships: 300, BaseStations: 5, AtoNs: 10, Rate: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return &messageMaker{rng: rand.New(rand.NewPCG(seed, 2)), harbour: h}
}

// usualBits are the lengths that stations send, by type.
var usualBits = [28][]int{
	1: {168, 163}, 2: {168}, 3: {168, 167}, 4: {168}, 5: {424, 422, 420}, 6: {136, 104, 168, 360, 88}, 7: {72, 104, 136, 168}, 8: {168, 352, 360, 346, 56, 350, 344},
	9: {168}, 10: {72}, 11: {168}, 12: {72, 150, 300}, 13: {72, 104}, 14: {40, 100, 172}, 15: {88, 110, 160}, 16: {96, 144}, 17: {80, 272, 376}, 18: {168},
	19: {312}, 20: {72, 104, 132, 160}, 21: {272, 280, 336, 360}, 22: {168}, 23: {160}, 24: {160, 168}, 25: {56, 168, 100}, 26: {80, 168, 300}, 27: {96},
}

// applications are dac and fid of what is read into columns.
var applications = [][2]uint32{{1, 31}, {1, 11}, {200, 10}, {235, 10}, {250, 10}}

// next gives a message's bits, one a byte.
func (k *messageMaker) next() []byte {
	switch k.rng.IntN(4) {
	case 0:
		l := k.harbour.Next()
		return bitsOf(l.Payload, l.Fill)
	case 1:
		l := k.harbour.Next()
		b := bitsOf(l.Payload, l.Fill)
		for range 1 + k.rng.IntN(8) {
			b[6+k.rng.IntN(len(b)-6)] ^= 1
		}
		return b
	}
	msgType := 1 + k.rng.IntN(27)
	n := usualBits[msgType][k.rng.IntN(len(usualBits[msgType]))]
	if k.rng.IntN(4) == 0 {
		n = max(38, n+k.rng.IntN(33)-16)
	}
	b := make([]byte, n)
	density := k.rng.Uint32N(4)
	for i := range b {
		if density == 3 || k.rng.Uint32N(4) <= density {
			b[i] = byte(k.rng.Uint32N(2))
		}
	}
	put := func(offset, width int, v uint32) {
		for i := range width {
			if offset+i < n {
				b[offset+i] = byte(v >> (width - 1 - i) & 1)
			}
		}
	}
	put(0, 6, uint32(msgType))
	if k.rng.IntN(4) > 0 {
		id := applications[k.rng.IntN(len(applications))]
		switch msgType {
		case 6:
			put(72, 10, id[0])
			put(82, 6, id[1])
		case 8:
			put(40, 10, id[0])
			put(50, 6, id[1])
		}
	}
	return b
}

// sentences writes one message as AIVDM sentences of at most 60 characters of
// payload, without a break between them.
func sentences(dst *bytes.Buffer, bits []byte, id int) {
	payload, fill := armour(bits)
	total := (len(payload) + 59) / 60
	for i := 0; i < total; i++ {
		part := payload[i*60 : min(len(payload), i*60+60)]
		f, seq := 0, ""
		if i == total-1 {
			f = fill
		}
		if total > 1 {
			seq = fmt.Sprint(id % 10)
		}
		body := fmt.Sprintf("AIVDM,%d,%d,%s,%c,%s,%d", total, i+1, seq, "AB"[id%2], part, f)
		sum := byte(0)
		for _, c := range []byte(body) {
			sum ^= c
		}
		fmt.Fprintf(dst, "!%s*%02X\n", body, sum)
	}
}

// TestGpsdecodeLive has an installed gpsdecode decode messages of every type,
// application and length, and compares as TestOracles does.
func TestGpsdecodeLive(t *testing.T) {
	tool, err := exec.LookPath("gpsdecode")
	if err != nil {
		t.Skipf("gpsdecode (Debian gpsd-clients): %v", err)
	}
	total, batch := 20_000, 20_000
	if os.Getenv("LANDFALL_SOAK") != "" {
		total, batch = 4_000_000, 100_000
	}
	k := newMessageMaker(t, 31)
	byWhy := map[string]int{}
	messages, agreed := 0, 0
	for done := 0; done < total; done += batch {
		var in bytes.Buffer
		for i := range batch {
			sentences(&in, k.next(), i)
		}
		cmd := exec.Command(tool, "-s", "-u", "-j")
		cmd.Stdin = bytes.NewReader(in.Bytes())
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", tool, err)
		}
		c := &comparison{file: "live", count: map[difference]int{}}
		r := readRecording(t, in.Bytes())
		left := c.withGpsd(r, gpsdMessages(t, gpsdLines(out)))
		c.ownMessages(r, left, nil)
		messages, agreed = messages+len(r.messages), agreed+c.agreed
		for d, n := range c.count {
			byWhy[fmt.Sprintf("%s, %s", d.what, d.why)] += n
		}
		for i, b := range c.bad {
			if i == 20 {
				t.FailNow()
			}
			t.Error(b)
		}
	}
	t.Logf("%d messages, %d of gpsd's agree; differences %v", messages, agreed, byWhy)
}

// gpsdLines keeps the AIS objects of gpsdecode's output. What it says of a marine
// traffic signal (8/1/19) is no JSON; there, only what stands before is compared.
func gpsdLines(out []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(out) {
		if signal := []byte(`"dac":1,"fid":19`); bytes.Contains(line, signal) && !json.Valid(line) {
			line = append(line[:bytes.Index(line, signal)+len(signal)], "}\n"...)
		}
		if bytes.HasPrefix(line, []byte(`{"class":"AIS"`)) {
			kept = append(kept, line...)
		}
	}
	return kept
}
