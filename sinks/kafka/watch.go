package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Watch looks again and again at the settings of the topics that a sink writes to:
// they were checked before the first epoch, and somebody may change them since.
type Watch struct {
	s     *Sink // its configuration only
	every time.Duration

	mu       sync.Mutex
	problems []string // guarded by mu
}

// The times between two looks, and while something is wrong; and what one may take.
const (
	WatchEvery = time.Minute
	watchAgain = 5 * time.Second
	watchWait  = 20 * time.Second
)

// NewWatch makes a Watch that looks at such intervals; nothing is asked before Run.
func NewWatch(c Config, every time.Duration) (*Watch, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if every <= 0 {
		return nil, fmt.Errorf("kafka sink: watch every %s", every)
	}
	return &Watch{s: &Sink{cfg: c.withDefaults()}, every: every}, nil
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	for {
		wait := w.every
		if w.look(ctx) {
			wait = min(wait, watchAgain)
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// look tells whether anything is wrong. While the brokers do not answer the last
// answer stays: what they do not take, Publish says.
func (w *Watch) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	client, err := kgo.NewClient(w.s.clientOptions()...)
	if err != nil {
		w.s.cfg.Logger.Error("kafka sink: settings of topics cannot be looked at", "error", err)
		return true
	}
	defer client.Close()
	_, refused, err := w.s.lookAtAll(ctx, client)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			w.s.cfg.Logger.Warn("kafka sink: settings of topics cannot be looked at", "error", err)
		}
		return len(w.problems) > 0
	}
	w.problems = nil
	for _, err := range refused {
		w.problems = append(w.problems, err.Error())
	}
	return len(refused) > 0
}

// Problems tells which settings would lose rows or markers, as of the last look that
// was answered. From any goroutine.
func (w *Watch) Problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.problems...)
}
