package s3

import "time"

// At sets the clock by which the lake takes self-tests for killed ones.
func (l *Lake) At(now func() time.Time) { l.b.now = now }
