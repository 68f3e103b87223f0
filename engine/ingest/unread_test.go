package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
)

// TestAShareOfWhatIsUnread: with fake time. Of a gateway that brings more than its task
// reads no more than its share lies before what another one lands, in the order in which
// the task reads; it goes on when the task has read, and when the task stands.
func TestAShareOfWhatIsUnread(t *testing.T) {
	const share, size = 32 << 20, 1 << 20
	synctest.Test(t, func(t *testing.T) {
		log, unread := landingtest.NewMemory("m", 1), ingest.NewUnread(1, nil)
		h := newIngest(t, ingest.Config{Log: log, Unread: unread})
		flood, quiet := &landingtest.Chain{Gateway: "flood", Log: record.LogID{1}}, &landingtest.Chain{Gateway: "quiet", Log: record.LogID{2}}
		send := func(c *landingtest.Chain, size, n int) wire.Answer {
			head := wire.RequestHeader{Gateway: c.Gateway, Log: c.Log, Offset: c.Next, Request: wire.RequestID{1}}
			var blocks [][]byte
			for range n {
				blocks = append(blocks, c.Block(1, size).Block)
			}
			a := post(t, h, head, encode(t, blocks...))
			if a.Code != wire.CodeNone { // what was not taken is made again
				again := landingtest.Chain{Gateway: c.Gateway, Log: c.Log}
				for again.Next < a.Acked {
					again.Block(1, size)
				}
				*c = again
			}
			return a
		}
		next := 0
		read := func(n int) (bytes map[string]int) {
			bytes = map[string]int{}
			for _, l := range log.Landed(0)[next : next+n] {
				unread.Read(l.Gateway, l.LandedAt)
				bytes[l.Gateway] += len(l.Block)
			}
			next += n
			return bytes
		}
		began := time.Now()
		a := send(flood, size, 40)
		if a.Code != wire.CodeBusy || !strings.Contains(a.Detail, "its task has not read them yet") || time.Since(began) != 5*time.Second {
			t.Fatalf("%+v after %v", a, time.Since(began))
		}
		landed := int(flood.Next)
		if bytes := int64(landed) * size; bytes <= share-size || bytes > share+size || unread.Of("flood") <= share || unread.All(0) != unread.Of("flood") {
			t.Errorf("%d bytes landed, %d unread", bytes, unread.Of("flood"))
		}
		began = time.Now()
		if a := send(quiet, 100, 1); a.Code != wire.CodeNone || time.Since(began) != 0 {
			t.Errorf("another gateway: %+v after %v", a, time.Since(began))
		}
		if before := read(landed); before["quiet"] != 0 || before["flood"] > share+2*size {
			t.Errorf("before another one's block lie %v", before)
		}
		if next := read(1); next["quiet"] == 0 || unread.All(0) != 0 {
			t.Errorf("then %v, %d unread", next, unread.All(0))
		}
		if a := send(flood, size, 10); a.Code != wire.CodeNone {
			t.Errorf("when that was read: %+v", a)
		}
		for range 3 { // nobody reads
			send(flood, size, 30)
		}
		time.Sleep(time.Minute)
		if a := send(flood, size, 30); a.Code != wire.CodeNone || h.Stats().HeldBack == 0 {
			t.Errorf("the task stands: %+v, %d held back", a, h.Stats().HeldBack)
		}
	})
}

// TestManyShareWhatIsUnread: when many gateways together have more than a partition's
// bound, each waits that has more than an equal share, and none that has less.
func TestManyShareWhatIsUnread(t *testing.T) {
	const all, size = 128 << 20, 1 << 20
	synctest.Test(t, func(t *testing.T) {
		log, unread := landingtest.NewMemory("m", 1), ingest.NewUnread(1, nil)
		h := newIngest(t, ingest.Config{Log: log, Unread: unread})
		send := func(name string, id byte, n int) wire.Answer {
			c := &landingtest.Chain{Gateway: name, Log: record.LogID{id}}
			var blocks [][]byte
			for range n {
				blocks = append(blocks, c.Block(1, size).Block)
			}
			return post(t, h, wire.RequestHeader{Gateway: name, Log: c.Log, Request: wire.RequestID{1}}, encode(t, blocks...))
		}
		for i := range 10 {
			a := send(fmt.Sprintf("flood-%d", i), byte(i+1), 20)
			if busy := i >= 6; busy != (a.Code == wire.CodeBusy) {
				t.Errorf("gateway %d: %+v", i, a)
			}
		}
		most := int64(all) // 4 have their own share of it, each later one an equal share
		for i := 5; i <= 10; i++ {
			most += all/int64(i) + 2*size
		}
		if n := unread.All(0); n < all || n > most {
			t.Errorf("%d bytes are unread, %d at most", n, most)
		}
		if a := send("quiet", 99, 2); a.Code != wire.CodeNone {
			t.Errorf("one with less than its share: %+v", a)
		}
	})
}

// TestUnreadForgetsWhatFailed: a block that did not land is not waited for, and one that
// landed before the process began, or could not be read back, holds nobody.
func TestUnreadForgetsWhatFailed(t *testing.T) {
	log, unread := landingtest.NewMemory("m", 1), ingest.NewUnread(1, nil)
	now := record.Micros(100)
	h := newIngest(t, ingest.Config{Log: full{log}, Unread: unread, Now: func() record.Micros { now++; return now }})
	c := &landingtest.Chain{Gateway: "g", Log: record.LogID{1}}
	head := wire.RequestHeader{Gateway: "g", Log: c.Log, Request: wire.RequestID{1}}
	if a := post(t, h, head, encode(t, c.Block(1, 100).Block)); a.Code != wire.CodeFull || unread.All(0) != 0 || unread.Of("g") != 0 {
		t.Errorf("%+v, %d bytes are unread", a, unread.All(0))
	}
	h = newIngest(t, ingest.Config{Log: log, Unread: unread, Now: func() record.Micros { now++; return now }})
	c = &landingtest.Chain{Gateway: "g", Log: record.LogID{1}}
	if a := post(t, h, head, encode(t, c.Block(1, 100).Block, c.Block(1, 100).Block, c.Block(1, 100).Block)); a.Code != wire.CodeNone {
		t.Fatalf("%+v", a)
	}
	three := unread.Of("g")
	unread.Read("g", 7)
	unread.Read("other", 7)
	if unread.Of("g") != three {
		t.Errorf("an earlier block was read: %d of %d", unread.Of("g"), three)
	}
	unread.Read("g", log.Landed(0)[1].LandedAt)
	if unread.Of("g") != three/3 {
		t.Errorf("the first could not be read back: %d of %d", unread.Of("g"), three)
	}
}

// full is a landing log without room.
type full struct{ *landingtest.Memory }

// Append implements landing.Log.
func (full) Append(context.Context, landing.Landed) error { return landing.ErrFull }
