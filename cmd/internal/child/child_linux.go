package child

import "syscall"

// dieWithParent has the kernel end a child when the program ends, however it does.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
