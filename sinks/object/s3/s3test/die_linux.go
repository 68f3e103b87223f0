package s3test

import "syscall"

// dieWithParent ends the store when the test's process is killed.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
