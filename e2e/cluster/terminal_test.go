package cluster_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// onTerminal runs plan on a terminal, with more variables in its environment, and returns what the terminal shows.
func (s *scene) onTerminal(environment ...string) string {
	s.t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer ours.Close()
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	terminal, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), program, s.bridge.Command("plan")...)
	cmd.Stdout, cmd.Env = terminal, append(cmd.Environ(), environment...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	terminal.Close()
	text, err := io.ReadAll(ours)
	if err != nil && !errors.Is(err, syscall.EIO) { // What Linux says when nobody has the terminal open any more.
		s.t.Fatal(err)
	}
	_ = cmd.Wait() // There are differences.
	return string(text)
}
