package nmea

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestFirstSpecialAgainstModel: the eight bytes at a time say what a byte at a
// time says, for bytes of every value at every place.
func TestFirstSpecialAgainstModel(t *testing.T) {
	model := func(p []byte) (int, byte) {
		sum := byte(0)
		for i, c := range p {
			if c <= '*' || c == '\\' {
				return i, sum
			}
			sum ^= c
		}
		return -1, sum
	}
	rng := rand.New(rand.NewPCG(1, 2))
	near := []byte{0, '!', '$', ')', '*', '+', ',', '[', '\\', ']', 0x7F, 0x80, 0xAA, 0xDC, 0xFF}
	for range 200_000 {
		p := make([]byte, rng.IntN(40))
		for i := range p {
			p[i] = byte('0' + rng.IntN(60))
			if p[i] == '\\' {
				p[i] = '0'
			}
		}
		for range rng.IntN(4) {
			if len(p) > 0 {
				p[rng.IntN(len(p))] = near[rng.IntN(len(near))]
			}
		}
		at, sum := firstSpecial(p)
		if wantAt, wantSum := model(p); at != wantAt || sum != wantSum {
			t.Fatalf("%q: %d %02x, want %d %02x", p, at, sum, wantAt, wantSum)
		}
	}
}

// TestUsualFieldsAgainstModel: what the short way takes, the long way reads the
// same; and the short way takes what stations send.
func TestUsualFieldsAgainstModel(t *testing.T) {
	usual := []string{
		"1,1,,A,15M00001,0", "2,1,3,B,55M,0", "2,2,3,B,5,2", "1,1,,,15M,0", "3,2,9,,15M,6", "1,1,,1,,0", "1,1,5,A,1,0",
	}
	for _, u := range usual {
		if v := (VDM{}); !v.usual([]byte(u)) {
			t.Errorf("%s: the long way", u)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	alphabet := []byte("0123456789,,,,ABab*w")
	taken := 0
	for range 500_000 {
		p := []byte(usual[rng.IntN(len(usual))])
		for range rng.IntN(4) {
			i := rng.IntN(len(p))
			switch c := alphabet[rng.IntN(len(alphabet))]; rng.IntN(3) {
			case 0:
				p[i] = c
			case 1:
				p = bytes.Join([][]byte{p[:i], {c}, p[i:]}, nil)
			default:
				if len(p) > 1 {
					p = append(p[:i:i], p[i+1:]...)
				}
			}
		}
		var short, long VDM
		if !short.usual(p) {
			if short.Payload != nil || short.Total != 0 {
				t.Fatalf("%q: changed though not taken: %+v", p, short)
			}
			continue
		}
		taken++
		if err := long.fields(p); err != nil || !bytes.Equal(short.Payload, long.Payload) ||
			short.Total != long.Total || short.Number != long.Number || short.Seq != long.Seq || short.Channel != long.Channel || short.Fill != long.Fill {
			t.Fatalf("%q: %+v, the long way %+v, %v", p, short, long, err)
		}
	}
	if taken < 50_000 {
		t.Errorf("only %d were taken", taken)
	}
}
