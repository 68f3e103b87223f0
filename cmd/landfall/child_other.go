//go:build !linux

package main

import "syscall"

// dieWithParent has no means on this system: the demo ends its children itself.
func dieWithParent() *syscall.SysProcAttr { return nil }
