package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain makes this test binary the program itself when it is called with a command of it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
	}
	os.Exit(m.Run())
}

func TestExitCodes(t *testing.T) {
	for command, want := range map[string]int{"version": 0, "validate nowhere.yaml": 1, "nonsense": 1} {
		err := exec.CommandContext(t.Context(), os.Args[0], strings.Fields(command)...).Run()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Errorf("%s: exit code %d, want %d", command, code, want)
		}
	}
}

// TestSignals: the first signal stops the program in order, although its registry cannot be reached.
func TestSignals(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "run", "--config", "testdata/unreachable.yaml", "--output-dir", out, "--listen", "")
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			for lines := bufio.NewScanner(stderr); lines.Scan(); {
				log.WriteString(lines.Text() + "\n")
				if strings.Contains(lines.Text(), "output read") {
					if err := cmd.Process.Signal(signal); err != nil {
						t.Error(err)
					}
				}
			}
			if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "msg=stopped") {
				t.Errorf("got %v, log:\n%s", err, &log)
			}
		})
	}
}
