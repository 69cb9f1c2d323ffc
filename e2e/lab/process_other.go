//go:build !linux

package lab

import "syscall"

// processGroup makes a process the head of a group of its own.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
