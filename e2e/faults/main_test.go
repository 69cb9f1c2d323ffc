package faults_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/registry-bridge/registry-bridge/e2e/faults/bridge"
)

// parallel is how many scenes run at a time. They mostly wait, so it is not the number of processors.
const parallel = 8

// program is the path of the bridge's binary. The flag judges another one, for instance an older version.
var program string

func TestMain(m *testing.M) {
	flag.StringVar(&program, "program", "", "`binary` to judge instead of one that is built from the present sources")
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registry-bridge")
	if err == nil {
		defer os.RemoveAll(dir)
	}
	if err == nil && program == "" {
		program, err = bridge.Build(dir)
	}
	if err == nil {
		err = flag.Set("test.parallel", strconv.Itoa(parallel))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if code != 0 {
		return code
	}
	// The client keeps trying for a moment after it was closed.
	if err := goleak.Find(goleak.IgnoreTopFunction("github.com/go-zookeeper/zk.(*Conn).connect")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// identity tells two contents of one path apart, even with equal bytes.
func identity(info fs.FileInfo) string {
	inode := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	return strconv.FormatUint(inode, 10) + " " + info.ModTime().Format("15:04:05.000000000")
}
