package seglog

import (
	"fmt"
	"strconv"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// Names within Dir. They sort in opening order: logs by ordinal, segments by
// first offset, then by number.
//
//	lock                                            held while a Store is open
//	owner                                           of whoever keeps logs here; a Store leaves it alone
//	<ordinal 10>-<LogID>-<first 20>-<number 8>.seg  a segment
//	<ordinal 10>-<LogID>.shed                       ranges of a log given up
//	<ordinal 10>-<LogID>.last                       which segment of a log is the newest
//	spare-<number 10>                               a file ready to become a segment
//	<number 10>.marks                               marks that a header has no room for
//	<hash of a source's name 32>.aside              marks of a source that is not there any more
//	quarantine/<segment's name>-<position 12>.bad   damaged bytes, kept for people
const (
	// OwnerName is the name of a file in which whoever keeps logs in a directory may say
	// whose it is. A Store leaves it alone.
	OwnerName = "owner"

	lockName       = "lock"
	segmentSuffix  = ".seg"
	shedSuffix     = ".shed"
	newestSuffix   = ".last"
	sparePrefix    = "spare-"
	quarantineName = "quarantine"
	marksSuffix    = ".marks"
	asideSuffix    = ".aside"
)

func segmentName(ordinal uint64, id segmentID, first record.Offset) string {
	return fmt.Sprintf("%010d-%s-%s-%08d%s", ordinal, id.log, first.Padded(), id.number, segmentSuffix)
}

func parseSegmentName(name string) (ordinal uint64, id segmentID, first record.Offset, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, segmentSuffix), "-")
	if !strings.HasSuffix(name, segmentSuffix) || len(parts) != 4 {
		return 0, segmentID{}, 0, false
	}
	ordinal, err1 := strconv.ParseUint(parts[0], 10, 64)
	log, err2 := record.ParseLogID(parts[1])
	first, err3 := record.ParseOffset(parts[2])
	number, err4 := strconv.ParseUint(parts[3], 10, 64)
	id = segmentID{log, number}
	ok = err1 == nil && err2 == nil && err3 == nil && err4 == nil && segmentName(ordinal, id, first) == name
	return ordinal, id, first, ok
}

func shedName(ordinal uint64, log record.LogID) string {
	return fmt.Sprintf("%010d-%s%s", ordinal, log, shedSuffix)
}

func newestName(ordinal uint64, log record.LogID) string {
	return fmt.Sprintf("%010d-%s%s", ordinal, log, newestSuffix)
}

func spareName(n uint64) string { return fmt.Sprintf("%s%010d", sparePrefix, n) }

func parseSpareName(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, sparePrefix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && spareName(n) == name
}

func isTemp(name string) bool { return strings.HasSuffix(name, durable.TempSuffix) }
