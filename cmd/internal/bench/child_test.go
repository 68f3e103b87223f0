package bench

import "testing"

// A child of a large process is as large as itself.
func TestMemoryOfAChildIsItsOwn(t *testing.T) {
	ballast := make([]byte, 256<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	out, used, err := run(t.Context(), []string{"/bin/sh", "-c", "sleep 0.2; echo done"})
	if err != nil || string(out) != "done\n" {
		t.Fatalf("printed %q, %v", out, err)
	}
	if used.memory <= 0 || used.memory > 64 {
		t.Errorf("a shell of a parent with 256 MiB took %.1f MiB", used.memory)
	}
	if ballast[4096] != 1 {
		t.Fatal("the ballast is gone")
	}
}
