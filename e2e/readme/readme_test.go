// Package readme_test runs what the README tells its readers to run.
package readme_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// blockLimit bounds one block of commands, the first build in the copy included.
const blockLimit = 10 * time.Minute

// The file that the README tells its readers to put their own servers into, and what stands there.
const (
	exampleFile    = "examples/zookeeper-dubbo.yaml"
	exampleServers = "zookeeper:2181"
)

// TestCommands runs every block of shell commands of the README, in order, in a clean copy of the checkout, with a real ZooKeeper in
// place of the reader's. `make test` and `make e2e` are left out: they run on their own.
func TestCommands(t *testing.T) {
	t.Parallel()
	checkout := copyCheckout(t)
	server := lab.StartZooKeeper(t, lab.ZooKeeperOptions{})
	registerProvider(t, server.Addr)
	replace(t, filepath.Join(checkout, exampleFile), exampleServers, server.Addr)

	blocks := shellBlocks(t, filepath.Join(checkout, "README.md"))
	if len(blocks) == 0 {
		t.Fatal("the README has no block of shell commands")
	}
	for i, block := range blocks {
		if !t.Run(fmt.Sprintf("block-%d", i+1), func(t *testing.T) {
			if strings.Contains(block, "registry-bridge run ") {
				runUntilWritten(t, checkout, block)
			} else {
				run(t, checkout, block)
			}
		}) {
			break // The next block may need what this one made.
		}
	}
}

// link is an inline link of Markdown; its target ends before a fragment.
var link = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)

// TestLinks looks for the target of every link between files of the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.md", filepath.Join("*", "*.md")} {
		more, err := filepath.Glob(filepath.Join(root, "docs", pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			target := match[1]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
			}
		}
	}
}

// shellBlocks returns the fenced blocks of shell commands, without what runs on its own.
func shellBlocks(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	var block []string
	inside, shell := false, false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !inside:
			inside, shell, block = true, slices.Contains([]string{"sh", "bash", "shell", "console"}, language), nil
		case fence:
			inside = false
			if shell && len(block) > 0 {
				blocks = append(blocks, strings.Join(block, "\n"))
			}
		case inside && line != "make test" && line != "make e2e":
			block = append(block, line)
		}
	}
	if inside {
		t.Fatalf("%s: a block has no end", file)
	}
	return blocks
}

func run(t *testing.T, dir, block string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), blockLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", block)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if strings.Contains(block, "registry-bridge plan ") && errors.As(err, &exit) && exit.ExitCode() == 2 {
		err = nil // There is something to write.
	}
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, block, output)
	}
}

// runUntilWritten runs a block that ends with the bridge itself, until there is a file in the folder that it writes into, and stops it.
func runUntilWritten(t *testing.T, dir, block string) {
	t.Helper()
	bridge := lab.StartProcess(t, "README", "bash", "-euo", "pipefail", "-c", "cd '"+dir+"'\n"+block)
	lab.Await(t, time.Minute, "a file is written below out", func(context.Context) error {
		files, err := filepath.Glob(filepath.Join(dir, "out", "*", "serviceentry_*.yaml"))
		if err == nil && len(files) == 0 {
			err = errors.New("there is none")
		}
		return err
	})
	bridge.Stop(t)
}

// copyCheckout copies what git knows, or would add, into a new folder, which is a repository too.
func copyCheckout(t *testing.T) string {
	t.Helper()
	dest := t.TempDir()
	script := `git ls-files -coz --exclude-standard | tar --null -T - -c --ignore-failed-read | tar -x -C "$1"
cd "$1" && git init -q`
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script, "copy", dest)
	cmd.Dir = filepath.Join("..", "..")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy the checkout: %v\n%s", err, output)
	}
	return dest
}

func replace(t *testing.T, file, old, with string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s does not have %q", file, old)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(old), []byte(with)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// registerProvider registers what the example is there for.
func registerProvider(t *testing.T, server string) {
	t.Helper()
	client := lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{server}})
	path := ""
	for _, name := range []string{"dubbo", "com.acme.OrderService", "providers", url.QueryEscape(
		"dubbo://10.1.0.11:20880/com.acme.OrderService?application=shop&interface=com.acme.OrderService&side=provider")} {
		path += "/" + name
		if _, err := client.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
}
