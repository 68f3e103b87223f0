package source

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/textfile"
)

// subscriptions remembers which filters a source ever asked for. A broker keeps
// them in the session, over restarts of either, and MQTT 3.1.1 cannot ask it which
// these are: one that is no longer configured stays subscribed until it is told
// otherwise. Steps, and what a crash after each leaves:
//
//  1. note: the list, with all that are configured, is durable. Perhaps a filter
//     that was never asked for, and to unsubscribe from such a one does nothing.
//  2. SUBSCRIBE to what is configured. What is no longer is still subscribed, so
//     that a filter that takes the place of another leaves no gap between them.
//  3. UNSUBSCRIBE from the rest of the list, and wait for the UNSUBACK. The list
//     still has them: it is asked again, by the next connection.
//  4. forget: the oldest of the rest leave the list. Old list or new.
//
// The newest of the rest stay on the list after the UNSUBACK, and are asked for
// again on each connection: a broker that is killed goes back to the session that
// it saved last, and the subscription is in that one again.
//
// The list is a source's, whatever its broker and client id: it may hold more than
// a session does, never less. It is a file, because a mark in the log rides with
// the next record, and there may be none before the first message. Version 1
// (textfile):
//
//	landfall-mqtt-filters 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	["<filter>", …]\n                 oldest first, those configured last
//
// It belongs to the goroutine of the connections.
//
// A filter that no broker takes must not come onto the list: brokers end the
// connection over it, in UNSUBSCRIBE too. ValidFilter keeps it out.
type subscriptions struct {
	fs    durable.FS
	path  string
	want  []string // configured, each once
	list  []string // what the file holds, once it is noted
	noted bool
	// unanswered is how many connections in a row ended before the UNSUBACK.
	unanswered int
	log        func(level slog.Level, msg string, args ...any)
}

const (
	filtersMagic    = "landfall-mqtt-filters"
	filtersVersion  = 1
	maxFiltersBytes = 16 << 20
	// filtersKept is how many filters that are configured no more stay on the list.
	filtersKept = 64
	// filtersTries is on how many connections in a row an UNSUBACK is waited for in
	// vain.
	filtersTries = 3
)

// note makes durable that the configured filters may be subscribed. It writes at
// each start: a file that is there may be one whose rename was not fsynced.
func (s *subscriptions) note() error {
	if s.noted {
		return nil
	}
	list, err := loadFilters(s.fs, s.path)
	if errors.Is(err, record.ErrCorrupt) {
		s.log(slog.LevelWarn, "the list of subscribed filters is damaged; what is no longer configured may stay subscribed", "error", err)
		list, err = nil, nil
	}
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(f string) bool { return slices.Contains(s.want, f) })
	if err := s.write(append(list, s.want...)); err != nil {
		return err
	}
	s.noted = true
	return nil
}

// removed are the filters that may be subscribed and are configured no more, oldest
// first.
func (s *subscriptions) removed() []string { return s.list[:len(s.list)-len(s.want)] }

// forget shortens the list. It is called after the UNSUBACK of all removed.
func (s *subscriptions) forget() {
	old := len(s.removed()) - filtersKept
	if old <= 0 {
		return
	}
	if err := s.write(s.list[old:]); err != nil {
		s.log(slog.LevelWarn, "the list of subscribed filters stays long", "error", err) // no harm
	}
}

func (s *subscriptions) write(list []string) error {
	p, err := encodeFilters(list)
	if err != nil {
		return err
	}
	if err := durable.WriteFileAtomic(s.fs, s.path, p); err != nil {
		return fmt.Errorf("note filters: %w", err)
	}
	s.list = list
	return nil
}

// ValidFilter tells whether f is a topic filter (MQTT 3.1.1, 4.7.1): '+' and '#'
// are levels of their own, '#' the last one.
func ValidFilter(f string) bool {
	if f == "" || len(f) > 65535 || !utf8.ValidString(f) || strings.Contains(f, "\x00") {
		return false
	}
	levels := strings.Split(f, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && l != "+" && (l != "#" || i < len(levels)-1) {
			return false
		}
	}
	return true
}

func encodeFilters(list []string) ([]byte, error) {
	return textfile.Encode(filtersMagic, filtersVersion, list)
}

// decodeFilters reads what encodeFilters wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeFilters(p []byte) ([]string, error) {
	var list []string
	if _, err := textfile.DecodeInto(filtersMagic, filtersVersion, p, &list); err != nil {
		return nil, err
	}
	return list, nil
}

// loadFilters reads the file; absent is an empty list.
func loadFilters(fsys durable.FS, path string) ([]string, error) {
	info, err := fsys.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read filters %s: %w", path, err)
	}
	if info.Size() > maxFiltersBytes {
		return nil, fmt.Errorf("read filters %s of %d bytes: %w", path, info.Size(), record.ErrCorrupt)
	}
	p, err := durable.ReadFile(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("read filters: %w", err)
	}
	list, err := decodeFilters(p)
	if err != nil {
		return nil, fmt.Errorf("read filters %s: %w", path, err)
	}
	return list, nil
}
