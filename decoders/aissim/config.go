package aissim

import (
	"fmt"
	"time"
)

// TagMode says what TAG blocks the receivers write.
type TagMode uint8

// The TAG modes.
const (
	// TagNone: bare sentences.
	TagNone TagMode = iota
	// TagSeconds: s: (receiver), n: (line number), c: in seconds.
	TagSeconds
	// TagMillis: the same with c: in milliseconds.
	TagMillis
)

// Receiver is one shore station or ship that hears the traffic.
type Receiver struct {
	// Name is written as TAG s:. Default "rx<number>".
	Name string
	// Talker is the two-letter talker id. Default "AI".
	Talker string
	// Latency is the least delay from the end of a transmission to the arrival
	// of its line; up to half as much is added at random. Default 10 ms.
	Latency time.Duration
	// Loss is the probability that a line is lost between receiver and gateway.
	Loss float64
	// Hears is the probability that a transmission is received. Zero means 1.
	Hears float64
}

// Config describes a harbour. Probabilities are 0..1.
type Config struct {
	// Seed makes everything random; the same seed, the same traffic.
	Seed uint64
	// Start is the simulated time of the beginning, microseconds since 1970 UTC.
	Start int64
	// Ships, a third of them class B, BaseStations and AtoNs are counts. All
	// zero means 40, 2 and 6.
	Ships, BaseStations, AtoNs int
	// Receivers hear the traffic. None means one with every default.
	Receivers []Receiver
	// Rate is how many lines arrive in a second of simulated time, about, at all
	// receivers together; stations then report more or less often than the
	// standard asks. Zero keeps the standard's intervals.
	Rate float64
	// Tag says what TAG blocks the lines have.
	Tag TagMode
	// Groups adds g: to the TAG blocks of multi-sentence messages.
	Groups bool
	// Unique gives every line, noise too, a TAG block with s: and an increasing
	// n:, so that no two lines are equal.
	Unique bool
	// Noise is the probability that a line of noise follows a sentence.
	Noise float64
	// LostFragments is the probability that a fragment of a multi-sentence
	// message is lost, beside Receiver.Loss.
	LostFragments float64
	// Disorder is the probability that a line comes up to DisorderBy later than
	// it should, behind younger ones.
	Disorder float64
	// DisorderBy is the longest such delay. Default 500 ms.
	DisorderBy time.Duration
}

func (c Config) withDefaults() Config {
	if c.Ships == 0 && c.BaseStations == 0 && c.AtoNs == 0 {
		c.Ships, c.BaseStations, c.AtoNs = 40, 2, 6
	}
	if len(c.Receivers) == 0 {
		c.Receivers = []Receiver{{}}
	}
	c.Receivers = append([]Receiver(nil), c.Receivers...)
	for i := range c.Receivers {
		r := &c.Receivers[i]
		if r.Name == "" {
			r.Name = fmt.Sprintf("rx%d", i+1)
		}
		if r.Talker == "" {
			r.Talker = "AI"
		}
		if r.Latency == 0 {
			r.Latency = 10 * time.Millisecond
		}
		if r.Hears == 0 {
			r.Hears = 1
		}
	}
	if c.DisorderBy == 0 {
		c.DisorderBy = 500 * time.Millisecond
	}
	return c
}

// Validate names the first field that makes no sense.
func (c Config) Validate() error {
	if c.Ships < 0 || c.BaseStations < 0 || c.AtoNs < 0 || c.Ships > 1_000_000 ||
		c.BaseStations > 10_000 || c.AtoNs > 10_000 {
		return fmt.Errorf("ships, base stations, aids to navigation: counts are 0..1,000,000, 0..10,000, 0..10,000")
	}
	if c.Rate < 0 || c.Start < 0 || c.DisorderBy < 0 {
		return fmt.Errorf("rate, start and disorder-by must not be negative")
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"noise", c.Noise}, {"lost fragments", c.LostFragments}, {"disorder", c.Disorder}} {
		if !(p.value >= 0 && p.value < 1) {
			return fmt.Errorf("%s %v: want a probability in [0, 1)", p.name, p.value)
		}
	}
	for i, r := range c.Receivers {
		if !(r.Loss >= 0 && r.Loss <= 1) || !(r.Hears >= 0 && r.Hears <= 1) || r.Latency < 0 {
			return fmt.Errorf("receiver %d: loss and hears are probabilities, latency is not negative", i)
		}
		if len(r.Talker) != 0 && len(r.Talker) != 2 {
			return fmt.Errorf("receiver %d: talker %q: want two letters", i, r.Talker)
		}
	}
	return nil
}

// Kind is what became of a line.
type Kind uint8

// The kinds of line.
const (
	// KindSentence: an AIS sentence as the receiver wrote it.
	KindSentence Kind = iota
	// KindNoise: anything else that arrives: text, damaged or foreign sentences.
	KindNoise
	// KindLost: a sentence the receiver wrote that never arrives. Not to be
	// sent: it is the truth about what is missing.
	KindLost
)

// Line is one line of text and the truth about it. Its slices may be kept but
// not written to; lines of one transmission share Payload.
type Line struct {
	// At is when the line arrives at the gateway, microseconds since 1970 UTC.
	At int64
	// Sent is when the transmission began, the start of its first slot,
	// microseconds since 1970 UTC, rounded down. 0 for noise.
	Sent int64
	// Receiver indexes Config.Receivers.
	Receiver int
	// Text is the line without CR LF.
	Text []byte
	// Kind says whether it is a sentence, noise, or lost.
	Kind Kind
	// Message numbers the transmissions from 1; the same for every receiver of
	// one transmission. 0 for noise.
	Message uint64
	// Fragment of Total, from 1. 0 of 0 for noise.
	Fragment, Total int
	// MsgType and MMSI are of the message. 0 for noise.
	MsgType uint8
	MMSI    uint32
	// Channel is 'A' or 'B'.
	Channel byte
	// Payload is the armoured payload of the whole message, Fill its fill bits.
	Payload []byte
	Fill    int
}
