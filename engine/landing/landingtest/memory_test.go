package landingtest_test

import (
	"testing"

	"landfall/engine/landing/landingtest"
)

func TestMemory(t *testing.T) {
	landingtest.Run(t, func(_ *testing.T, p int) landingtest.Opener {
		m := landingtest.NewMemory("mem", p)
		return func() (landingtest.Closable, error) {
			m.Reopen()
			return m, nil
		}
	})
}
