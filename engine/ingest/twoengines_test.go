package ingest_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"landfall/edge/forward"
	"landfall/engine/ingest"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
)

// TestTwoEnginesUnderOneAddress: a balancer that sends a gateway by turns to two engines
// with landing logs of their own is told by the gateway, which alone hears both; two
// ingests of one landing log are not.
func TestTwoEnginesUnderOneAddress(t *testing.T) {
	for name, second := range map[string]landing.ID{"two landing logs": "other-landing-log-0002", "one landing log": "first-landing-log-0001"} {
		t.Run(name, func(t *testing.T) {
			first := landingtest.NewMemory("first-landing-log-0001", 1)
			engines := []http.Handler{newIngest(t, ingest.Config{Log: first}), newIngest(t, ingest.Config{Log: first})}
			if second != first.ID() {
				engines[1] = newIngest(t, ingest.Config{Log: landingtest.NewMemory(second, 1)})
			}
			var turn atomic.Uint64
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				engines[turn.Add(1)%2].ServeHTTP(w, r)
			}))
			s := newStore(t, t.TempDir())
			f, stop := start(t, forward.Config{URL: url, Store: s})
			if second == first.ID() {
				for range 5 {
					capture(t, s, 1, 10)
					until(t, "the ingests have all", drained(f))
				}
			} else {
				until(t, "it is told", func() bool {
					capture(t, s, 1, 1)
					return f.Status().TwoEngines != "" && f.Status().Counters.LandingReturns >= 2
				})
			}
			stop()
			if st := f.Status(); second == first.ID() && (st.TwoEngines != "" || st.Counters.LandingReturns != 0) {
				t.Errorf("told of one landing log: %q, %d returns", st.TwoEngines, st.Counters.LandingReturns)
			}
		})
	}
}
