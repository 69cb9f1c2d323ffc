package licenses

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mit = `Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to
the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR
ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH
THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

const gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as
published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied warranty of
MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more details.
`

// TestRead: a module may be linked in when all its licence files are known and allowed, whatever they are called.
func TestRead(t *testing.T) {
	for name, tc := range map[string]struct {
		files    map[string]string
		licenses []string
		texts    []string
		problem  string
	}{
		"allowed":             {map[string]string{"LICENSE": mit, "NOTICE": "By us.", "README.md": "x"}, []string{"MIT"}, []string{"LICENSE", "NOTICE"}, ""},
		"of a package":        {map[string]string{"LICENSE": mit, "sub/COPYING.txt": mit}, []string{"MIT"}, []string{"LICENSE", "sub/COPYING.txt"}, ""},
		"source is none":      {map[string]string{"LICENSE": mit, "license.go": "package x"}, []string{"MIT"}, []string{"LICENSE"}, ""},
		"missing":             {map[string]string{"README.md": mit}, nil, nil, "no licence file"},
		"unknown":             {map[string]string{"LICENSE": "Ask me."}, nil, []string{"LICENSE"}, "known licence"},
		"not allowed":         {map[string]string{"LICENSE.md": gpl}, nil, []string{"LICENSE.md"}, "licence GPL-3.0"},
		"not allowed, deeper": {map[string]string{"LICENSE": mit, "sub/LICENSE": gpl}, []string{"MIT"}, []string{"LICENSE", "sub/LICENSE"}, "sub/LICENSE: licence GPL-3.0"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			c := collected{path: "example.com/m", root: root, dirs: map[string]bool{root: true}}
			for file, text := range tc.files {
				path := filepath.Join(root, file)
				c.dirs[filepath.Dir(path)] = true
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			m, err := c.read()
			if (err == nil) != (tc.problem == "") || err != nil && !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("got %v, want %q", err, tc.problem)
			}
			if diff := cmp.Diff(tc.licenses, m.Licenses); diff != "" {
				t.Errorf("licences (-want +got):\n%s", diff)
			}
			var texts []string
			for _, text := range m.Texts {
				texts = append(texts, text.Name)
			}
			if diff := cmp.Diff(tc.texts, texts); diff != "" {
				t.Errorf("texts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCollect looks at a package of a module that this one needs.
func TestCollect(t *testing.T) {
	modules, err := Collect(t.Context(), Target{Dir: ".", Package: "github.com/google/licensecheck", Platforms: []string{"linux/amd64", "windows/arm64"}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, m := range modules {
		got[m.Path] = m.Licenses
	}
	if diff := cmp.Diff(map[string][]string{"github.com/google/licensecheck": {"BSD-3-Clause"}, Std: {"BSD-3-Clause"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Collect(t.Context(), Target{Dir: ".", Package: "example.com/nowhere", Platforms: []string{"linux/amd64"}}); err == nil {
		t.Error("a package that does not exist was collected")
	}
}

func TestWriteNotices(t *testing.T) {
	var b strings.Builder
	err := WriteNotices(&b, []Module{
		{Path: "example.com/a", Version: "v1.0.0", Licenses: []string{"Apache-2.0", "MIT"}, Texts: []Text{{"LICENSE", "one\n"}, {"NOTICE", "By a.\n\n"}}},
		{Path: "example.com/b", Version: "v2.0.0", Licenses: []string{"Apache-2.0"}, Texts: []Text{{"LICENSE.txt", "one\n"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(b.String(), "\n\n")
	want := `example.com/a v1.0.0  Apache-2.0, MIT
example.com/b v2.0.0  Apache-2.0

` + rule + `example.com/a v1.0.0: LICENSE
example.com/b v2.0.0: LICENSE.txt
` + rule + `
one

` + rule + `example.com/a v1.0.0: NOTICE
` + rule + `
By a.
`
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
