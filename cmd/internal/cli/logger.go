package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// LogFlags adds --log-level and --log-format to a verb and gives what makes the
// logger they ask for. standard is the level when nobody says.
func LogFlags(c *cobra.Command, standard string) func(w io.Writer) (*slog.Logger, error) {
	level := c.Flags().String("log-level", standard, "debug, info, warn or error")
	format := c.Flags().String("log-format", "logfmt", "logfmt or json")
	Choices(c, "log-level", "debug", "info", "warn", "error")
	Choices(c, "log-format", "logfmt", "json")
	return func(w io.Writer) (*slog.Logger, error) {
		var l slog.Level
		if err := l.UnmarshalText([]byte(*level)); err != nil {
			return nil, Fail(ExitUsage, fmt.Errorf("--log-level %q: want debug, info, warn or error", *level))
		}
		o := &slog.HandlerOptions{Level: l}
		switch *format {
		case "logfmt":
			return slog.New(LimitRepeats(slog.NewTextHandler(w, o))), nil
		case "json":
			return slog.New(LimitRepeats(slog.NewJSONHandler(w, o))), nil
		}
		return nil, Fail(ExitUsage, fmt.Errorf("--log-format %q: want logfmt or json", *format))
	}
}

const (
	repeatWindow   = time.Minute
	repeatsShown   = 3    // of one message in a window
	textShown      = 100  // of one text in a window, whatever it is of
	repeatKeys     = 1024 // messages told apart
	repeatKeyBytes = 128  // of an attribute's value by which messages are told apart
)

// LimitRepeats passes on at most three of the same warning or error a minute, and at
// most a hundred of one text; the next one that passes says in the attribute repeated
// how many did not. The same is what has the same text and the same source, gateway,
// log and partition (the first 128 bytes of each): who sends under ever new names is
// bounded, too. Below warnings everything passes. It keeps at most 1,024 messages.
func LimitRepeats(next slog.Handler) slog.Handler {
	return &limiter{next: next, seen: &repeats{windows: map[string]*window{}, texts: map[string]*window{}}}
}

type limiter struct {
	next slog.Handler
	key  string // of WithAttrs and WithGroup
	seen *repeats
}

type repeats struct {
	mu      sync.Mutex
	windows map[string]*window // by text and what it is of; guarded by mu
	texts   map[string]*window // by text; guarded by mu
}

type window struct {
	begin         time.Time
	shown, hidden int
	before        int // hidden in earlier windows, and not told yet
}

// Enabled implements slog.Handler.
func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return l.next.Handle(ctx, r)
	}
	var key strings.Builder
	key.WriteString(l.key + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		key.WriteString(identifies(a))
		return true
	})
	hidden, pass := l.seen.take(r.Message, key.String(), r.Time)
	if !pass {
		return nil
	}
	if hidden > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", hidden))
	}
	return l.next.Handle(ctx, r)
}

// identifies gives what an attribute adds to what is the same.
func identifies(a slog.Attr) string {
	switch a.Key {
	case "source", "gateway", "log", "partition":
		value := a.Value.String()
		return "\x00" + a.Key + "=" + value[:min(len(value), repeatKeyBytes)]
	}
	return ""
}

// take counts one message and says whether it passes, and how many did not before it.
func (s *repeats) take(text, key string, at time.Time) (hidden int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, all := windowOf(s.windows, key, at), windowOf(s.texts, text, at)
	switch {
	case one.shown == repeatsShown:
		one.hidden++
		return 0, false
	case all.shown == textShown:
		all.hidden++
		return 0, false
	}
	one.shown++
	all.shown++
	hidden = one.before + all.before
	one.before, all.before = 0, 0
	return hidden, true
}

// windowOf returns the window of a key that is open at some time.
func windowOf(of map[string]*window, key string, at time.Time) *window {
	w := of[key]
	if w == nil {
		if len(of) >= repeatKeys {
			clear(of)
		}
		w = &window{begin: at}
		of[key] = w
	}
	if age := at.Sub(w.begin); age >= repeatWindow || age < 0 {
		*w = window{begin: at, before: w.before + w.hidden}
	}
	return w
}

// WithAttrs implements slog.Handler.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	key := l.key
	for _, a := range attrs {
		key += identifies(a)
	}
	return &limiter{next: l.next.WithAttrs(attrs), key: key, seen: l.seen}
}

// WithGroup implements slog.Handler.
func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{next: l.next.WithGroup(name), key: l.key, seen: l.seen}
}
