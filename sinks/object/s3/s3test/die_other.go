//go:build !linux

package s3test

import "syscall"

// dieWithParent does nothing here: a store may outlive a test that is killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
