package edgecli

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"landfall/edge/durable"
)

// serialLine is a serial device that setup found.
type serialLine struct {
	Device string `json:"device"`
	// LeftOut is why it is not in the configuration; empty: it is.
	LeftOut string `json:"left_out,omitempty"`
}

// serialLines lists a machine's serial lines, each once, by the name that stays:
// by id, else by path (adapters that share one id have one name by id between
// them), else as the kernel calls it. root is before /dev and /sys; empty but in
// tests.
func serialLines(fsys durable.FS, root string) []serialLine {
	var all []serialLine
	var seen []fs.FileInfo
	console := firstLine(fsys, root+"/sys/class/tty/console/active")
	add := func(name string) {
		info, err := fsys.Stat(name) // of what a link names
		if err != nil {
			return
		}
		for _, s := range seen {
			if os.SameFile(s, info) {
				return
			}
		}
		seen = append(seen, info)
		line := serialLine{Device: strings.TrimPrefix(name, root)}
		switch own := filepath.Base(name); {
		case strings.Contains(" "+console+" ", " "+own+" "):
			line.LeftOut = "the kernel's console is on it"
		case strings.HasPrefix(own, "ttyAMA"), strings.HasPrefix(own, "ttyS"):
			line.LeftOut = "a port of the board itself: a receiver is wired to it, or nothing is, or Bluetooth"
		}
		all = append(all, line)
	}
	for _, dir := range []string{"/dev/serial/by-id", "/dev/serial/by-path"} {
		for _, name := range names(fsys, root+dir) {
			add(root + dir + "/" + name)
		}
	}
	for _, name := range names(fsys, root+"/sys/class/tty") {
		if hasPort(fsys, root, name) {
			add(root + "/dev/" + name)
		}
	}
	return all
}

// hasPort tells whether a terminal of the kernel is a serial line of a kind that
// the packaged unit may open. Of ttyS the kernel names some without a port behind
// them: their type is 0.
func hasPort(fsys durable.FS, root, name string) bool {
	switch strings.TrimRight(name, "0123456789") {
	case "ttyAMA", "ttyUSB", "ttyACM":
		return true
	case "ttyS":
		kind := firstLine(fsys, filepath.Join(root, "/sys/class/tty", name, "type"))
		return kind != "" && kind != "0"
	}
	return false
}

func names(fsys durable.FS, dir string) []string {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil // there is none of that kind
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// firstLine gives the first line of a short file, nothing when it cannot be read.
func firstLine(fsys durable.FS, name string) string {
	f, err := fsys.Open(name)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
