package cli

import (
	"fmt"
	"io"
	"os"
	"unicode"
	"unicode/utf8"
)

// terminal shows text on a terminal. What lines hold comes from strangers, and a
// control character among it would move the cursor, set the title or answer in the
// user's name: it is written as in JSON, \u001b, and so are characters that turn the
// direction of the text; a byte that is no UTF-8 is written as \x9b. Line ends and
// tabs stay. Not for concurrent use.
type terminal struct {
	to   io.Writer
	rest []byte // of a character whose end comes with the next Write
}

// forTerminal returns a writer that is safe for what stands behind w: w itself, unless
// it is a terminal.
func forTerminal(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return w
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return w
	}
	return &terminal{to: f}
}

// IsTerminal tells whether w is a terminal, where a progress bar may be drawn.
func IsTerminal(w io.Writer) bool {
	_, ok := w.(*terminal)
	return ok
}

// Draw writes a sequence of the program's own that moves a terminal's cursor or
// clears what is there. Elsewhere it writes nothing.
func Draw(w io.Writer, sequence string) {
	if t, ok := w.(*terminal); ok {
		_, _ = io.WriteString(t.to, sequence)
	}
}

// Write implements io.Writer.
func (t *terminal) Write(p []byte) (int, error) {
	text := append(t.rest, p...)
	shown := make([]byte, 0, len(text))
	for len(text) > 0 && (utf8.FullRune(text) || len(text) >= utf8.UTFMax) {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			shown = fmt.Appendf(shown, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r):
			shown = append(shown, text[:n]...)
		default:
			shown = fmt.Appendf(shown, `\u%04x`, r)
		}
		text = text[n:]
	}
	t.rest = append([]byte(nil), text...)
	if _, err := t.to.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}
