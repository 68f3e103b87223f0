package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"landfall/engine/stream"
)

// Folder returns the folder of a task's ledger, with a '/' at its end.
func Folder(task string) string { return task + "/ledger/" }

// EntryName returns the name of one entry's object.
func EntryName(task string, number uint64, claim stream.ClaimID) string {
	return fmt.Sprintf("%s%020d-%s.json", Folder(task), number, claim)
}

// FoldName returns the name of the fold that begins with an entry.
func FoldName(task string, first uint64) string {
	return fmt.Sprintf("%sfold-%020d.jsonl", Folder(task), first)
}

// FoldOf returns the first number of the fold that an entry belongs to, where
// folds have size entries.
func FoldOf(number, size uint64) uint64 { return (number-1)/size*size + 1 }

// ParseName says what a name that EntryName or FoldName made stands for: the
// number of the entry, or of the first entry of a fold.
func ParseName(name string) (number uint64, fold, ok bool) {
	_, base, found := strings.Cut(name, "/ledger/")
	if !found {
		return 0, false, false
	}
	if rest, ok := strings.CutPrefix(base, "fold-"); ok {
		digits, ok := strings.CutSuffix(rest, ".jsonl")
		number, err := strconv.ParseUint(digits, 10, 64)
		return number, true, ok && err == nil && len(digits) == 20 && number > 0
	}
	rest, ok := strings.CutSuffix(base, ".json")
	digits, claim, cut := strings.Cut(rest, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, false, ok && cut && err == nil && len(digits) == 20 && number > 0 && isHex(claim, 32)
}
