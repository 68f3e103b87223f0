package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func TestControlCharactersDoNotReachATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"!AIVDM,1\tKöln 東京 🚢\n": "!AIVDM,1\tKöln 東京 🚢\n",
		"\x1b]0;owned\x07":      `\u001b]0;owned\u0007`,
		"a\rb\x00\x7f":          `a\u000db\u0000\u007f`,
		"\u009b2J":              `\u009b2J`,
		"\x9b2J\xff":            `\x9b2J\xff`,
		"gnp.\u202eexe":         `gnp.\u202eexe`,
		"\xe2\x80":              "", // the character may have an end
	} {
		var whole, bytewise bytes.Buffer
		if _, err := (&terminal{to: &whole}).Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		one := &terminal{to: &bytewise}
		for i := range len(text) {
			if n, err := one.Write([]byte{text[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if whole.String() != want || bytewise.String() != want {
			t.Errorf("%q: %q, byte by byte %q, want %q", text, whole.String(), bytewise.String(), want)
		}
	}
}

// TestATerminalIsKnown: on a real one control characters of data are written out, and
// the program's own are not; a file has the bytes as they are.
func TestATerminalIsKnown(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	defer func() { _ = master.Close() }()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slave.Close() }()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	say := func(to io.Writer) {
		c := &cobra.Command{Use: "x", RunE: func(c *cobra.Command, _ []string) error {
			Draw(c.OutOrStdout(), "\x1b[H")
			_, err := fmt.Fprintf(c.OutOrStdout(), "\x1b]0;x\n")
			return err
		}}
		if code := Run(t.Context(), c, nil, forTerminal(to), io.Discard); code != ExitOK {
			t.Error(code)
		}
	}
	say(slave)
	if line, err := bufio.NewReader(master).ReadString('\n'); strings.TrimSpace(line) != "\x1b[H"+`\u001b]0;x` {
		t.Errorf("the terminal was sent %q, %v", line, err)
	}
	say(file)
	if got, err := os.ReadFile(file.Name()); string(got) != "\x1b]0;x\n" {
		t.Errorf("the file has %q, %v", got, err)
	}
}
