package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// ruled is a bucket of which only the rules are asked.
func ruled(t *testing.T, rules string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, asked := r.URL.Query()["lifecycle"]; !asked {
			return
		}
		if rules == "" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>")
			return
		}
		_, _ = fmt.Fprintf(w, "<LifecycleConfiguration>%s</LifecycleConfiguration>", rules)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRulesOfTheBucket(t *testing.T) {
	rule := func(status, filter, action string) string {
		return fmt.Sprintf("<Rule><ID>r</ID><Status>%s</Status>%s%s</Rule>", status, filter, action)
	}
	abort := func(days int) string {
		return fmt.Sprintf("<AbortIncompleteMultipartUpload><DaysAfterInitiation>%d</DaysAfterInitiation></AbortIncompleteMultipartUpload>", days)
	}
	const expire = "<Expiration><Days>365</Days></Expiration>"
	filter := func(prefix string) string { return "<Filter><Prefix>" + prefix + "</Prefix></Filter>" }
	for name, test := range map[string]struct {
		rules       string
		lake, store bool // refused
	}{
		"none":              {"", false, false},
		"too soon":          {rule("Enabled", filter(""), abort(6)), true, true},
		"late enough":       {rule("Enabled", filter(""), abort(7)), false, false},
		"disabled":          {rule("Disabled", filter(""), abort(1)), false, false},
		"of the place":      {rule("Enabled", filter("lake/"), abort(1)), true, true},
		"below the place":   {rule("Enabled", filter("lake/record/"), abort(1)), true, true},
		"elsewhere":         {rule("Enabled", filter("lakes/"), abort(1)), false, false},
		"by old prefix":     {rule("Enabled", "<Prefix>la</Prefix>", abort(1)), true, true},
		"of tagged objects": {rule("Enabled", "<Filter><And><Prefix>lake</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>", abort(1)), false, false},
		"archives":          {rule("Enabled", filter(""), "<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>"), false, true},
		"moves":             {rule("Enabled", filter(""), "<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"), false, false},
		"expires":           {rule("Enabled", filter("lake/"), expire), false, true},
		"second of two":     {rule("Enabled", filter("x"), abort(1)) + rule("Enabled", filter("lake"), abort(2)), true, true},
	} {
		cfg := s3test.Config(ruled(t, test.rules))
		_, err := s3.OpenLake(t.Context(), cfg, s3test.At("lake"))
		if errors.Is(err, s3.ErrRule) != test.lake || !test.lake && err != nil {
			t.Errorf("%s: lake: %v", name, err)
		}
		_, err = s3.OpenStore(t.Context(), cfg, s3test.At("lake"))
		if errors.Is(err, s3.ErrRule) != test.store || !test.store && err != nil {
			t.Errorf("%s: checkpoints: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), `"r"`) {
			t.Errorf("%s: the rule is not named: %v", name, err)
		}
	}
}
