//go:build !linux

package child

import "syscall"

// dieWithParent has no means on this system: the program ends its children itself.
func dieWithParent() *syscall.SysProcAttr { return nil }
