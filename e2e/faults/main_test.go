package faults_test

import (
	"flag"
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
	os.Exit(bridge.Suite{Program: &program, Parallel: parallel, After: leaks}.Run(m))
}

// leaks reports goroutines that nobody waited for. The client keeps trying for a moment after it was closed.
func leaks() error {
	return goleak.Find(goleak.IgnoreTopFunction("github.com/go-zookeeper/zk.(*Conn).connect"))
}

// identity tells two contents of one path apart, even with equal bytes.
func identity(info fs.FileInfo) string {
	inode := uint64(0)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = stat.Ino
	}
	return strconv.FormatUint(inode, 10) + " " + info.ModTime().Format("15:04:05.000000000")
}
