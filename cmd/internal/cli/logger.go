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
	repeatWindow = time.Minute
	repeatsShown = 3    // of one message in a window
	repeatKeys   = 1024 // messages told apart
)

// LimitRepeats passes on at most three of the same warning or error a minute;
// the next one that passes says in the attribute repeated how many did not. The
// same is what has the same text and the same source, gateway, log and
// partition. Below warnings everything passes.
func LimitRepeats(next slog.Handler) slog.Handler {
	return &limiter{next: next, seen: &repeats{windows: map[string]*window{}}}
}

type limiter struct {
	next slog.Handler
	key  string // of WithAttrs and WithGroup
	seen *repeats
}

type repeats struct {
	mu      sync.Mutex
	windows map[string]*window // guarded by mu
}

type window struct {
	begin         time.Time
	shown, hidden int
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
	hidden, pass := l.seen.take(key.String(), r.Time)
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
		return "\x00" + a.Key + "=" + a.Value.String()
	}
	return ""
}

// take counts one and says whether it passes, and how many did not before it.
func (s *repeats) take(key string, at time.Time) (hidden int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[key]
	if w == nil {
		if len(s.windows) >= repeatKeys {
			clear(s.windows)
		}
		w = &window{begin: at}
		s.windows[key] = w
	}
	if age := at.Sub(w.begin); age >= repeatWindow || age < 0 {
		hidden = w.hidden
		*w = window{begin: at}
	}
	if w.shown == repeatsShown {
		w.hidden++
		return 0, false
	}
	w.shown++
	return hidden, true
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
