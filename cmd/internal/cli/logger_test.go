package cli

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
)

func TestRepeatedErrorsAreLimitedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(LimitRepeats(slog.NewTextHandler(&out, nil)))
		lines := func() int { defer out.Reset(); return strings.Count(out.String(), "\n") }
		for i := range 1000 {
			log.Error("link is down", "error", fmt.Sprintf("try %d", i))
		}
		if n := lines(); n != repeatsShown {
			t.Errorf("%d lines of the same error", n)
		}
		for range 5 {
			log.Info("fine")
			log.With("source", "a").Error("link is down")
			log.Error("link is down", "source", "b")
		}
		if n := lines(); n != 5+2*repeatsShown {
			t.Errorf("%d lines of what is not the same", n)
		}
		time.Sleep(repeatWindow)
		log.Error("link is down")
		if !strings.Contains(out.String(), "repeated=997") {
			t.Errorf("the hidden ones are not counted: %s", out.String())
		}
	})
}

// TestEverNewNamesAreLimited: whoever sends under another name each time fills neither
// the log nor the memory.
func TestEverNewNamesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		limit := LimitRepeats(slog.NewTextHandler(&out, nil))
		log := slog.New(limit)
		for i := range 5 * repeatKeys {
			log.Warn("request refused", "gateway", fmt.Sprintf("%d%s", i, strings.Repeat("x", 1000)))
		}
		if n := strings.Count(out.String(), "\n"); n != textShown {
			t.Errorf("%d lines of one text", n)
		}
		seen := limit.(*limiter).seen
		if n := len(seen.windows); n > repeatKeys {
			t.Errorf("%d messages are kept", n)
		}
		for key := range seen.windows {
			if len(key) > 2*repeatKeyBytes {
				t.Fatalf("a key of %d bytes", len(key))
			}
		}
		log.Error("something else")
		time.Sleep(repeatWindow)
		out.Reset()
		log.Warn("request refused", "gateway", "mv-ada")
		if want := fmt.Sprintf("repeated=%d", 5*repeatKeys-textShown); !strings.Contains(out.String(), want) {
			t.Errorf("%s, want %s", out.String(), want)
		}
	})
}

func TestLogFormats(t *testing.T) {
	for args, want := range map[string]string{
		"":                  "msg=hello",
		"--log-format=json": `"msg":"hello"`,
		"--log-format=xml":  "logfmt or json",
		"--log-level=loud":  "debug, info, warn or error",
	} {
		var out bytes.Buffer
		c := &cobra.Command{Use: "x"}
		logger := LogFlags(c, "info")
		if err := c.ParseFlags(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		log, err := logger(&out)
		if err != nil {
			out.WriteString(err.Error())
			if Code(err) != ExitUsage {
				t.Errorf("%s: code %d", args, Code(err))
			}
		} else {
			log.Info("hello")
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %s", args, out.String())
		}
	}
}
