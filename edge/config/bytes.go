package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written with its unit: B, kB, MB, GB, TB (powers
// of 1,000) or KiB, MiB, GiB, TiB (powers of 1,024).
type Bytes int64

type unit struct {
	name string
	size int64
}

// units lists the longer names before those they end with.
func units() []unit {
	return []unit{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
	}
}

// UnmarshalText reads "64KiB", "1.5 GB" or "512B". A number without a unit is
// an error, as is a negative one.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	for _, u := range units() {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(f >= 0) || f*float64(u.size) > math.MaxInt64/2 {
			return fmt.Errorf("size %q: %w", s, ErrInvalid)
		}
		*b = Bytes(math.Round(f * float64(u.size)))
		return nil
	}
	return fmt.Errorf("size %q has no unit: %w", s, ErrInvalid)
}

// String gives the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if u := units()[i]; b != 0 && int64(b)%u.size == 0 {
			return fmt.Sprintf("%d%s", int64(b)/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(b))
}

// MarshalText gives String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Count says how many there are of what one names: "1 gap", "2 gaps".
func Count[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
