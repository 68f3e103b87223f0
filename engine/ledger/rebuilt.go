package ledger

import "strings"

// NoteRebuilt begins the note of an entry of a KindEpoch that was not written when
// its epoch was committed: a repair rebuilt it from the files of the epoch, which it
// found in a lake whose checkpoints had been replaced by older ones.
const NoteRebuilt = "rebuilt from the files of the lake"

// IsRebuilt tells whether a repair rebuilt the entry. Nothing but the lake's own files
// then says what its epoch published.
func (e *Entry) IsRebuilt() bool {
	return e.Kind == KindEpoch && strings.HasPrefix(e.Note, NoteRebuilt)
}
