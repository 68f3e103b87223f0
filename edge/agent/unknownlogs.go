package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/textfile"
	"landfall/edge/wire"
)

// unknownLogs is what the cloud was found to have of this gateway and the data
// directory does not know: the directory was lost, put back from an older copy or is
// another one, or another machine has the gateway's name. With the log the marks are of
// another time, so that a source that gives things again may give what was captured.
//
// It is a file, so that it is told until an operator acknowledges it: once records of a
// new log are in the cloud, nothing else tells. Steps, and what a crash after each
// leaves: the cloud says its newest log (it is asked again); that is written here (it
// is told from then on); the log that was asked about is sent. Its methods may be
// called from any goroutine.
type unknownLogs struct {
	fs     durable.FS
	path   string
	clock  clock.Clock
	logger *slog.Logger
	// end returns up to where the data directory knows a log; false: not at all.
	end func(record.LogID) (record.Offset, bool)

	mu    sync.Mutex
	state unknownState // as it stands in the file; guarded by mu
	begun bool         // files are being read; guarded by mu
}

// The file (textfile), version 1.
//
//	landfall-unknown-logs 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"found":<how often>,"held":<files wait for the operator>,"logs":[{"log":"…","next":…,"known":…,"at":…}, …]}\n
//
// An entry may have a "from" and a "to" instead of a log: the directory is that of a
// gateway of the first name, and this one has the second. logs are the last ones, the newest last: up to where the cloud had the log and the
// data directory knew it, and when that was found, microseconds since 1970 UTC. Where the
// file itself was damaged an entry has no log.
type unknownState struct {
	Found uint64       `json:"found"`
	Held  bool         `json:"held"`
	Logs  []unknownLog `json:"logs"`
}

type unknownLog struct {
	Log   string        `json:"log"`
	Next  record.Offset `json:"next"`
	Known record.Offset `json:"known"`
	At    record.Micros `json:"at"`
	// From and To say that the directory is that of another gateway name, and no log is
	// named.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

const (
	unknownMagic    = "landfall-unknown-logs"
	unknownVersion  = 1
	maxUnknownLogs  = 64
	maxUnknownBytes = 64 << 10
)

// UnknownLogsFile is the file that holds which logs of the cloud the data directory was
// found not to know.
func (c *Config) UnknownLogsFile() string { return filepath.Join(c.DataDir, "unknown-logs") }

func (s *unknownState) encode() ([]byte, error) {
	return textfile.Encode(unknownMagic, unknownVersion, s)
}

// decodeUnknown reads what encode wrote. Errors: record.ErrCorrupt, record.ErrVersion.
func decodeUnknown(p []byte) (s unknownState, err error) {
	if _, err = textfile.DecodeInto(unknownMagic, unknownVersion, p, &s); err != nil {
		return unknownState{}, err
	}
	return s, nil
}

// open reads the file; absent: nothing was found. A damaged one says that something
// was: it counts as one, and is begun again with that; where it cannot be written, at the
// next start. Errors: record.ErrVersion, and those of the file system.
func (u *unknownLogs) open() error {
	p, err := durable.ReadFileUpTo(u.fs, u.path, maxUnknownBytes)
	if err == nil {
		u.state, err = decodeUnknown(p)
	}
	switch {
	case errors.Is(err, record.ErrCorrupt), errors.Is(err, durable.ErrMedia), errors.Is(err, durable.ErrTooLarge):
		u.logger.Error("the file of unknown logs is damaged: it counts as one, and is begun again", "path", u.path, "error", err)
		wall, _ := u.clock.Now()
		u.state = unknownState{Found: 1, Logs: []unknownLog{{At: wall}}}
		if err := u.write(&u.state); err != nil {
			u.logger.Warn("the file of unknown logs is not begun again", "path", u.path, "error", err)
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open the unknown logs: %w", err)
	}
	renewNotes(u.fs, u.logger, u.path, u.state.Found, u.state.last())
	return nil
}

// write replaces the file, durably on return.
func (u *unknownLogs) write(s *unknownState) error {
	p, err := s.encode()
	if err == nil {
		err = durable.WriteFileAtomic(u.fs, u.path, p)
	}
	return err
}

// last says the last one in words; "" for none.
func (s *unknownState) last() string {
	k := len(s.Logs)
	if k == 0 {
		return ""
	}
	l := &s.Logs[k-1]
	if l.From != "" {
		return fmt.Sprintf("the directory is that of gateway %s, and this one is %s, found at %s", l.From, l.To, text(l.At))
	}
	if l.Log == "" {
		return "one that is not known: the file that says which was damaged, found at " + text(l.At)
	}
	return fmt.Sprintf("log %s below offset %d, of which %d are known here, found at %s", l.Log, l.Next, l.Known, text(l.At))
}

// hear takes the newest log of the gateway that the cloud has. One that is not known,
// or not so far, is durable here on return. Error: it is not, and the cloud has to be
// asked again before anything is sent.
func (u *unknownLogs) hear(newest wire.HeldLog) error {
	end, known := u.end(newest.Log)
	if known && newest.Next <= end {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	i := slices.IndexFunc(u.state.Logs, func(l unknownLog) bool { return l.Log == newest.Log.String() })
	if i >= 0 && newest.Next <= u.state.Logs[i].Next {
		return nil // told
	}
	wall, _ := u.clock.Now()
	was := u.state.Logs
	if i >= 0 {
		was = slices.Delete(slices.Clone(was), i, i+1)
	}
	next := unknownState{u.state.Found + 1, !u.begun, bounded(was, unknownLog{Log: newest.Log.String(), Next: newest.Next, Known: end, At: wall})}
	if err := u.write(&next); err != nil {
		return fmt.Errorf("note a log of the cloud that is not known here: %w", err)
	}
	u.state = next
	u.logger.Error("the cloud has records of this gateway that the data directory does not know: it was lost, put back from an older copy or is another one, or another machine has this name",
		"log", newest.Log, "cloud", newest.Next, "known", end)
	return nil
}

// bounded returns logs with one more, without the oldest where they are too many.
func bounded(logs []unknownLog, one unknownLog) []unknownLog {
	logs = append(slices.Clone(logs), one)
	return logs[max(0, len(logs)-maxUnknownLogs):]
}

// renamed notes that the directory is that of a gateway of another name: it was renamed,
// or this is a copy of another one's directory, which may be older than what that has
// captured since. It is noted before anything makes the directory that of the new name,
// so that a crash does not lose it; where it cannot be written, it is told all the same.
func (u *unknownLogs) renamed(from, to string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if was, _ := u.state.rename(to); was == from {
		return // at an earlier start
	}
	wall, _ := u.clock.Now()
	u.state = unknownState{u.state.Found + 1, true, bounded(u.state.Logs, unknownLog{From: from, To: to, At: wall})}
	if err := u.write(&u.state); err != nil {
		u.logger.Error("that the data directory is of another name is not noted", "path", u.path, "error", err)
	}
	u.logger.Warn("the data directory is that of a gateway of another name: it was renamed, or this is a copy", "was", from, "is", to)
}

// rename returns from which name to the given one the directory came last, if that is
// the last finding.
func (s *unknownState) rename(to string) (from string, ok bool) {
	k := len(s.Logs)
	if k == 0 || s.Logs[k-1].From == "" || s.Logs[k-1].To != to {
		return "", false
	}
	return s.Logs[k-1].From, true
}

// was returns the name that the directory is of, while nobody has said that it may be; "".
func (u *unknownLogs) was(c *Config, fsys durable.FS) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	from, ok := u.state.rename(c.Gateway)
	if !ok || c.unknownAcknowledged(fsys, u.state.Found, u.state.last()) {
		return ""
	}
	return from
}

// vouch takes back that the directory is of another name: it has all that the cloud has
// under that.
func (u *unknownLogs) vouch(c *Config, fsys durable.FS) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.state.rename(c.Gateway); !ok {
		return
	}
	next := unknownState{Found: u.state.Found - 1, Logs: slices.Clone(u.state.Logs[:len(u.state.Logs)-1])}
	next.Held = !c.unknownAcknowledged(fsys, next.Found, next.last())
	if err := u.write(&next); err != nil {
		u.logger.Error("that this gateway was only renamed is not noted", "path", u.path, "error", err)
		return
	}
	u.state = next
}

// readFiles notes that files are being read from now on: what is found later cannot hold
// them any more.
func (u *unknownLogs) readFiles() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun = true
}

// found returns how often such a log was found, the last one in words, and whether
// files wait until that is acknowledged.
func (u *unknownLogs) found() (n uint64, last string, held bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state.Found, u.state.last(), u.state.Held
}

// isRename tells whether the last finding is that the directory is of another name.
func (u *unknownLogs) isRename() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := len(u.state.Logs)
	return k > 0 && u.state.Logs[k-1].From != ""
}

// unknownAcknowledged tells whether the first n findings are acknowledged, the last of
// which is given in words.
func (c *Config) unknownAcknowledged(fsys durable.FS, n uint64, last string) bool {
	return acknowledged(fsys, c.UnknownLogsFile(), n, last)
}

// AcknowledgeUnknownLogs notes, durable on return, that an operator knows of the first n
// logs of the cloud that the data directory does not know; last is the n-th as status
// says it. It may run beside the daemon, and again.
func (c *Config) AcknowledgeUnknownLogs(fsys durable.FS, n uint64, last string) error {
	if err := acknowledge(fsys, c.UnknownLogsFile(), n, last); err != nil {
		return fmt.Errorf("acknowledge unknown logs: %w", err)
	}
	return nil
}
