package transcript_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// curator runs the script with Apache Curator, in a Java process that reads steps and writes answers. Each answer ends with a line
// that is a dot.
type curator struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func newCurator(t *testing.T) *curator {
	t.Helper()
	classpath := lab.Classpath(t, lab.ProjectCurator())
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "java", "-Xmx128m", "-cp", classpath, "transcript.Main")
	var log strings.Builder
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // The end of the script ends the program.
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("curator: %v\n%s", err, log.String())
		}
	})
	return &curator{t: t, in: in, out: bufio.NewScanner(out)}
}

// do implements client.
func (c *curator) do(session, command string, args []string) []string {
	if _, err := fmt.Fprintln(c.in, session, command, strings.Join(args, " ")); err != nil {
		c.t.Fatal(err)
	}
	var answer []string
	for c.out.Scan() {
		if c.out.Text() == "." {
			return answer
		}
		answer = append(answer, c.out.Text())
	}
	c.t.Fatalf("curator ended at %s %s: %v", session, command, c.out.Err())
	return nil
}
