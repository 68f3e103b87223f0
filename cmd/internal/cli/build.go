package cli

import (
	"runtime/debug"
	"strconv"
	"time"
)

// built is set by the linker: seconds since 1970 (SOURCE_DATE_EPOCH).
var built = "unknown"

// Built gives the time of the sources this program was built from: a time that
// is surely past. Zero when it is not known.
func Built() time.Time {
	if s, err := strconv.ParseInt(built, 10, 64); err == nil {
		return time.Unix(s, 0)
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value) // zero where it is none
			return t
		}
	}
	return time.Time{}
}
