//go:build !linux

package traffic

import (
	"errors"
	"fmt"
)

// OpenPTY makes a pseudo terminal; it is there on Linux only.
func OpenPTY() (Output, string, error) {
	return nil, "", fmt.Errorf("open pseudo terminal: %w", errors.ErrUnsupported)
}
