package sourcetest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedTest is a test that a page names, with the subtest if it names that too.
var namedTest = regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Za-z]+)(?:/([^`]+))?`")

// Page is the documentation of a source.
type Page struct {
	// Path is that of the page.
	Path string
	// Code are patterns of the files in which the tests are that the page names.
	Code []string
	// Least is how many tests it names at least.
	Least int
	// OptOut is what the page has to say that the source opts out of.
	OptOut map[Feature]string
}

// Check fails the test if the page names tests that there are not, or is silent about what is opted out of.
func (p Page) Check(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var code strings.Builder
	for _, pattern := range p.Code {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(text)
		}
	}
	names := namedTest.FindAllStringSubmatch(page, -1)
	if len(names) < p.Least {
		t.Errorf("%s names %d tests, want %d at least", p.Path, len(names), p.Least)
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name[1]+"(") || !strings.Contains(code.String(), `"`+name[2]) {
			t.Errorf("%s: there is no %s", p.Path, name[0])
		}
	}
	for feature, reason := range p.OptOut {
		if row := "| " + string(feature) + " | " + reason + " |"; !strings.Contains(page, row) {
			t.Errorf("%s lacks the row %q", p.Path, row)
		}
	}
}
