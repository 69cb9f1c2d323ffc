package lab

import "syscall"

// processGroup makes a process the head of a group of its own, and lets the kernel end it with the test binary: a test binary that
// dies of its timeout runs no cleanup.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
