//go:build !linux

package kafkatest

import "syscall"

// dieWithParent can do nothing here: after a killed test brokers stay.
func dieWithParent() *syscall.SysProcAttr { return nil }
