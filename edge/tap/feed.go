package tap

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// What waits for a listener before it misses some: so many objects, and no more once
// they take so many bytes, about.
const (
	room      = 4096
	roomBytes = 512 << 10
)

// Memory is what waits for one listener at most, bytes, about.
const Memory = roomBytes

// patience bounds how long one write to a listener may take.
const patience = 5 * time.Second

// Missed is the object that stands where a listener did not keep up.
type Missed struct {
	Missed uint64 `json:"missed"` // objects that it asked for and that were not kept
}

// Feed gives what is offered to whoever listens over HTTP. The zero value is
// ready.
type Feed struct {
	count atomic.Int32 // of listeners

	mu        sync.Mutex
	listeners map[*listener]bool // guarded by mu
}

// listener is one client. missed is guarded by the Feed's mu.
type listener struct {
	query  url.Values
	queue  chan waiting
	bytes  atomic.Int64 // of what is in queue
	missed uint64
}

// waiting is an object in a queue, and what it takes.
type waiting struct {
	object any
	bytes  int64
}

// Wanted tells whether anybody listens.
func (f *Feed) Wanted() bool { return f.count.Load() > 0 }

// Offer calls show for each listener with what it asked for. What show gives to
// emit is kept for that listener when there is room, and build is then called at
// once; what it builds belongs to the Feed.
func (f *Feed) Offer(show func(query url.Values, emit func(build func() any))) {
	if !f.Wanted() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		show(l.query, l.emit)
	}
}

// emit keeps an object, or counts it as missed. Once one is missed all are, until
// the client has what was kept and was told: so the count stands in its place.
func (l *listener) emit(build func() any) {
	if l.missed > 0 || len(l.queue) == cap(l.queue) || l.bytes.Load() >= roomBytes {
		l.missed++
		return
	}
	v := build()
	w := waiting{v, int64(sizeOf(reflect.ValueOf(v)))}
	l.bytes.Add(w.bytes)
	l.queue <- w // only emit sends, under mu: there is room
}

// sizeOf is about what a value takes in memory.
func sizeOf(v reflect.Value) int {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return 16
		}
		return 16 + sizeOf(v.Elem())
	case reflect.String:
		return 16 + v.Len()
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Size() == 1 {
			return 24 + v.Len()
		}
		n := 24
		for i := range v.Len() {
			n += sizeOf(v.Index(i))
		}
		return n
	case reflect.Map:
		n := 48
		for i := v.MapRange(); i.Next(); {
			n += 32 + sizeOf(i.Key()) + sizeOf(i.Value())
		}
		return n
	case reflect.Struct:
		n := 0
		for i := range v.NumField() {
			n += sizeOf(v.Field(i))
		}
		return n
	}
	return 8
}

// settle gives how many objects were missed after those in the queue.
func (f *Feed) settle(l *listener) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.missed == 0 || len(l.queue) > 0 {
		return nil
	}
	m := Missed{l.missed}
	l.missed = 0
	return m
}

func (f *Feed) listen(l *listener) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[*listener]bool{}
	}
	f.listeners[l] = true
	f.count.Add(1)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, l)
		f.count.Add(-1)
	}
}

// ServeHTTP implements http.Handler: it writes what passes from now on, until
// the client goes.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := &listener{query: r.URL.Query(), queue: make(chan waiting, room)}
	defer f.listen(l)()
	out := NewStream(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case w := <-l.queue:
			l.bytes.Add(-w.bytes)
			if err := out.Show(w.object); err != nil {
				return
			}
			if m := f.settle(l); m != nil && out.Show(m) != nil {
				return
			}
			if len(l.queue) == 0 && out.Flush() != nil {
				return
			}
		}
	}
}

// Stream writes JSON objects to one client of a page, each a line, each in its
// own time: the page's own limit is for short answers.
type Stream struct {
	control *http.ResponseController
	enc     *json.Encoder
}

// NewStream begins the answer.
func NewStream(w http.ResponseWriter) *Stream {
	w.Header().Set("Content-Type", "application/x-ndjson")
	s := &Stream{control: http.NewResponseController(w), enc: json.NewEncoder(w)}
	s.enc.SetEscapeHTML(false)
	s.extend()
	_ = s.Flush() // a client that is gone shows at the first object
	return s
}

func (s *Stream) extend() { _ = s.control.SetWriteDeadline(time.Now().Add(patience)) }

// Show writes one object. Its error says that the client is gone.
func (s *Stream) Show(v any) error {
	s.extend()
	return s.enc.Encode(v)
}

// Flush sends what was shown on its way.
func (s *Stream) Flush() error { return s.control.Flush() }
