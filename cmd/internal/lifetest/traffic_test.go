//go:build linux

package lifetest

import (
	"os"
	"testing"
)

// appendLine appends a sentence to a file that a gateway follows.
func appendLine(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("!AIVDM,1,1,,A,15MvlfP000G?n@@K>OW`4?vN0<0=,0*5A\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
