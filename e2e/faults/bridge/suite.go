package bridge

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Suite is how the tests of a package run the program.
type Suite struct {
	// Program gets the path of the binary, which is built from the present sources unless it names one already.
	Program *string
	// Parallel is how many tests run at once when it is not 0: they mostly wait, so it is not the number of processors.
	Parallel int
	// After is asked when all tests have passed; nil for nothing.
	After func() error
}

// Run builds the program, runs the tests and returns the exit code. The caller is TestMain, after flag.Parse.
func (s Suite) Run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registry-bridge")
	if err == nil {
		defer os.RemoveAll(dir)
	}
	if err == nil && *s.Program == "" {
		*s.Program, err = Build(dir)
	}
	if err == nil && s.Parallel > 0 {
		err = flag.Set("test.parallel", strconv.Itoa(s.Parallel))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if code == 0 && s.After != nil {
		if err := s.After(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}
