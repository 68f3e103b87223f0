package kafka

import (
	"os"
	"testing"

	"landfall/sinks/sinktest"
)

// TestSuite runs the suite against an in-process cluster, faults at operations
// on files and at requests to brokers: at each in the soak, at every fifth
// elsewhere.
func TestSuite(t *testing.T) {
	_, brokers := fake(t)
	stride := 5
	if os.Getenv("LANDFALL_SOAK") != "" {
		stride = 1
	}
	var files int
	sinktest.Run(t, stride, func(testing.TB) sinktest.World { return newWorld(brokers, &files) })
}
