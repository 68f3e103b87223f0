package forward

import (
	"context"
	"crypto/rand"
	"fmt"

	"landfall/edge/wire"
)

// A gateway whose data directory is new, an older copy or another machine's does not
// know which logs of its name the cloud has, and reads files again that were captured.
// The cloud says which log it has newest, in the answer to a question about one of
// which it has nothing: so each log that is begun is asked about before anything of it
// is sent, and before files are read a log is asked about that nobody writes.

// introduce asks the cloud once, and hands over what it says of its newest log.
func (s *Session) introduce(ctx context.Context) error {
	a, err := s.askNewest(ctx, s.cfg.Gateway)
	if err != nil {
		return err
	}
	return s.hearNewest(a)
}

// introduceWas asks under the name that the gateway had before. Where the link's
// certificate is of the new name alone that is refused.
func (s *Session) introduceWas(ctx context.Context) {
	a, err := s.askNewest(ctx, s.cfg.Was)
	switch {
	case err != nil:
		s.cfg.Logger.Warn("it is not known which log the cloud has newest under the name that this gateway had", "was", s.cfg.Was, "error", err)
	case !a.Newest.IsZero() && s.core.otherLake(a) == "":
		s.cfg.NewestWas(a.Newest)
	}
}

// askNewest asks about a log that nobody writes. Errors: those of the link, and what the
// cloud refuses.
func (s *Session) askNewest(ctx context.Context, gateway string) (wire.Answer, error) {
	h := wire.RequestHeader{Gateway: gateway, Keeps: s.cfg.Release == ReleasePublished, Behind: s.behind()}
	_, _ = rand.Read(h.Request[:]) // never fails
	for h.Log.IsZero() {
		_, _ = rand.Read(h.Log[:])
	}
	w := &watchdog{patient: s.link.patient}
	defer w.end()
	s.cfg.Pulse.End() // as in act
	defer s.cfg.Pulse.Begin()
	a, err := s.link.exchange(ctx, h, w, nil)
	s.mu.Lock()
	s.status.Counters.Questions++
	s.mu.Unlock()
	if err == nil && a.Code != wire.CodeNone {
		err = fmt.Errorf("%s: %s", a.Code, a.Detail)
	}
	return a, err
}

// hearNewest hands over the newest log that an answer names, unless another lake's
// engine gave it.
func (s *Session) hearNewest(a wire.Answer) error {
	if a.Newest.IsZero() || s.core.otherLake(a) != "" {
		return nil
	}
	return s.cfg.Newest(a.Newest)
}
