package source

import "testing"

func TestMarkOwner(t *testing.T) {
	for mark, want := range map[string]string{"ais": "ais", "plant/17": "plant", "acked/a/b": "acked", "/clock": "", "/node-1/00": "", "": ""} {
		if got := MarkOwner(mark); got != want {
			t.Errorf("%q belongs to %q, not to %q", mark, got, want)
		}
	}
}
