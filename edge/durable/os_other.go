//go:build !unix || aix || solaris || illumos

package durable

import (
	"os"
	"syscall"
)

const errnoQuota = syscall.ENOSPC

// syncDir: these systems have no fsync of a directory or make renames durable
// by themselves.
func syncDir(*os.File) error { return nil }

// lockFile: without flock the lock protects only against mistakes an operator
// can see; these systems are for development, not for gateways.
func lockFile(*os.File) error { return nil }
