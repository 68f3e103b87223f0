package modbus

import (
	"fmt"
	"math"
	"testing"

	"landfall/decoders/sensor"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"40001": "holding 0", "400001": "holding 0", "465536": "holding 65535", "49999": "holding 9998", "30010": "input 9", "10001": "discrete 0", "00001": "coil 0",
		"holding:0": "holding 0", "input:65535": "input 65535", "coil: 7": "coil 7", "discrete:1": "discrete 1",
		"40000": "", "465537": "", "20001": "", "50001": "", "4001": "", "4000001": "", "": "", "4000a": "", "holding:65536": "", "holding:-1": "", "register:1": "", "+0001": "",
	} {
		table, n, err := ParseAddress(text)
		got := ""
		if err == nil {
			got = fmt.Sprint(table, " ", n)
		}
		if got != want {
			t.Errorf("%q: %q (%v), want %q", text, got, err, want)
		}
	}
}

// TestValues: bytes by hand, in each type and order.
func TestValues(t *testing.T) {
	for _, tt := range []struct {
		kind  Type
		order Order
		data  []byte
		want  float64
	}{
		{Int16, "", []byte{0xff, 0xfe}, -2}, {Int16, BADC, []byte{0xfe, 0xff}, -2}, {Int16, CDAB, []byte{0xff, 0xfe}, -2}, {Uint16, "", []byte{0xff, 0xfe}, 65534}, {Bool, "", []byte{1, 0}, 1}, {Bool, "", []byte{0, 0}, 0},
		{Int32, ABCD, []byte{1, 2, 3, 4}, 0x01020304}, {Int32, CDAB, []byte{3, 4, 1, 2}, 0x01020304}, {Int32, BADC, []byte{2, 1, 4, 3}, 0x01020304}, {Int32, DCBA, []byte{4, 3, 2, 1}, 0x01020304},
		{Uint32, ABCD, []byte{0xff, 0xff, 0xff, 0xff}, 4294967295}, {Int32, ABCD, []byte{0xff, 0xff, 0xff, 0xff}, -1},
		{Float32, ABCD, []byte{0x41, 0xac, 0, 0}, 21.5}, {Float32, CDAB, []byte{0, 0, 0x41, 0xac}, 21.5},
		{Int64, DCBA, []byte{8, 7, 6, 5, 4, 3, 2, 1}, 0x0102030405060708}, {Int64, CDAB, []byte{7, 8, 5, 6, 3, 4, 1, 2}, 0x0102030405060708}, {Uint64, ABCD, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, math.MaxUint64},
		{Float64, BADC, []byte{0x35, 0x40, 0, 0x80, 0, 0, 0, 0}, 21.5},
	} {
		q := Requests([]Register{{Table: Holding, Type: tt.kind, Order: tt.order}})[0]
		g := q.Readings("s", tt.data, nil)
		if len(g) != 1 || g[0].Number != tt.want || g[0].Quality != sensor.QualityGood {
			t.Errorf("%s %s % x: %+v, want %v", tt.kind, tt.order, tt.data, g, tt.want)
		}
	}
}

func TestRequestsJoinWhatAdjoins(t *testing.T) {
	registers := []Register{
		{Table: Holding, Address: 0, Type: Float32, Metric: "a"}, {Table: Holding, Address: 2, Type: Int16, Metric: "b", Scale: 0.1, Offset: -40}, {Table: Holding, Address: 4, Type: Int16, Metric: "gap"},
		{Table: Input, Address: 5, Type: Int16, Metric: "table"}, {Table: Coils, Address: 0, Type: Bool, Metric: "on"}, {Table: Coils, Address: 1, Type: Bool, Metric: "off"},
	}
	all := Requests(registers)
	var got string
	for _, q := range all {
		got += fmt.Sprint(q.Text(3), "+", q.Count, " ")
	}
	if want := "3/holding/0+3 3/holding/4+1 3/input/5+1 3/coil/0+2 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	g := all[0].Readings("pump", []byte{0x41, 0xac, 0, 0, 0x02, 0x8a}, nil)
	if len(g) != 2 || g[0].Number != 21.5 || g[1].Number != 25 || g[1].Sensor != "pump" || g[1].Metric != "b" {
		t.Errorf("%+v", g)
	}
	if g = all[3].Readings("pump", []byte{1, 0}, nil); g[0].Number != 1 || g[1].Number != 0 {
		t.Errorf("%+v", g)
	}
	if g = all[0].Readings("pump", []byte{0x41, 0xac, 0, 0, 0x02}, nil); g[1].Quality != sensor.QualityBadFrame || g[1].Kind != sensor.NoValue {
		t.Errorf("%+v", g)
	}
	if g = all[0].Failed("pump", sensor.QualityBadTimeout, nil); len(g) != 2 || g[0].Quality != sensor.QualityBadTimeout || g[0].Kind != sensor.NoValue {
		t.Errorf("%+v", g)
	}
	if n := len(all[0].Split()); n != 2 {
		t.Errorf("split into %d", n)
	}
	var many []Register
	for i := range uint16(200) {
		many = append(many, Register{Table: Input, Address: i, Type: Uint16})
	}
	if all := Requests(many); len(all) != 2 || all[0].Count != 125 || all[1].Count != 75 {
		t.Errorf("%d requests", len(all))
	}
	if all := Requests([]Register{{Table: Holding, Address: 65535, Type: Int16}, {Table: Holding, Address: 0, Type: Int16}}); len(all) != 2 {
		t.Error("the last register and the first were joined")
	}
}

// FuzzAddress: what is read is written the same again.
func FuzzAddress(f *testing.F) {
	f.Add("40001")
	f.Add("holding:7")
	f.Fuzz(func(t *testing.T, text string) {
		table, n, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, m, err := ParseAddress(fmt.Sprintf("%s:%d", table, n)); err != nil || again != table || m != n {
			t.Errorf("%q: %s %d, then %s %d, %v", text, table, n, again, m, err)
		}
	})
}
