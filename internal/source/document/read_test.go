package document_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func reader(format document.Format) document.Reader {
	return document.Reader{Format: format, Ref: func(name string) model.Ref { return model.Ref{Source: "s.1", Unit: name, Name: name} }}
}

// formatOf is the format of a test file by its name.
func formatOf(file string) document.Format {
	if strings.HasPrefix(filepath.Base(file), "prometheus-") {
		return document.PrometheusSD
	}
	return document.Native
}

// describe renders a content for a golden file.
func describe(t *testing.T, c source.Content) []byte {
	t.Helper()
	out := struct {
		Services   []*model.Service
		Unreadable map[string]string
	}{c.Services, map[string]string{}}
	for name, err := range c.Unreadable {
		out.Unreadable[name] = err.Error()
	}
	data, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// TestGolden: what becomes of each document in testdata.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, in := range files {
		t.Run(filepath.Base(in), func(t *testing.T) {
			data, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			content, err := reader(formatOf(in)).Read(data)
			if err != nil {
				t.Fatal(err)
			}
			got, golden := describe(t, content), strings.Replace(in, ".in.", ".out.", 1)
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestRefused: what is no document of its format is an error that says where, never an empty registry.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ format, text, want string }{
		{"Native", ``, "is empty"},
		{"Native", " \n", "is empty"},
		{"Native", `null`, "is no object"},
		{"Native", `[]`, "is no object"},
		{"Native", `0`, "is no object"},
		{"Native", `{}`, "no field services"},
		{"Native", `{"Services":[]}`, "no field services"},
		{"Native", `{"services":null}`, "services is no list"},
		{"Native", `{"services":{}}`, "services is no list"},
		{"Native", `{"services":[]`, "is cut off"},
		{"Native", `{"services":[`, "is cut off"},
		{"Native", `{"services":[]}{"services":[]}`, "behind its end"},
		{"Native", `{"services":[]} <html>`, "behind its end"},
		{"Native", `{"services":[{"name":"a","instances":[]}],"services":[]}`, "twice"},
		{"Native", `{"services":[null]}`, "services[0] is no object"},
		{"Native", `{"services":[{"name":"a","instances":[]},7]}`, "services[1] is no object"},
		{"Native", `{"services":[{"instances":[]}]}`, "services[0] has no name"},
		{"Native", `{"services":[{"name":"","instances":[]}]}`, "services[0] has no name"},
		{"Native", `{"services":[{"name":7,"instances":[]}]}`, "services[0] has no name"},
		{"Native", `{"services":[{"name":"a","name":"b","instances":[]}]}`, "twice"},
		{"Native", `{"services":[{"name":"a","instances":[{"address":"10.0.0.1","weight":NaN}]}]}`, "is no JSON at byte"},
		{"Native", "{\"services\":[{\"name\":\"\xd6\xd0\",\"instances\":[]}]}", "not in UTF-8"},
		{"Native", `<html><body>Sign in</body></html>`, "is no JSON at byte"},
		{"PrometheusSD", ``, "is empty"},
		{"PrometheusSD", `null`, "is no list"},
		{"PrometheusSD", `{}`, "is no list"},
		{"PrometheusSD", `{"services":[]}`, "is no list"},
		{"PrometheusSD", `[`, "is cut off"},
		{"PrometheusSD", `[]]`, "is no JSON"},
		{"PrometheusSD", `[null]`, "group 0 is no object"},
		{"PrometheusSD", `[{"targets":["a:1"]}]`, `group 0 has no label "job"`},
		{"PrometheusSD", `[{"targets":["a:1"],"labels":null}]`, `group 0 has no label "job"`},
		{"PrometheusSD", `[{"targets":["a:1"],"labels":{"job":""}}]`, `group 0 has no label "job"`},
		{"PrometheusSD", `[{"targets":["a:1"],"labels":{"job":7}}]`, "labels of group 0: cannot be a number"},
		{"PrometheusSD", `[{"targets":["a:1"],"labels":[]}]`, "labels of group 0: cannot be an array"},
	} {
		content, err := reader(document.Format(tt.format)).Read([]byte(tt.text))
		if !errors.Is(err, source.ErrMalformed) || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.format, tt.text, err, tt.want)
		}
		if len(content.Services)+len(content.Unreadable) > 0 {
			t.Errorf("%s %q: an error, and %v", tt.format, tt.text, content)
		}
	}
	if _, err := reader(document.Native).Read(make([]byte, document.MaxSize+1)); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("a document that is too large: %v", err)
	}
}

// TestEveryPrefixIsRefused: a document that is cut off anywhere is none.
func TestEveryPrefixIsRefused(t *testing.T) {
	for _, file := range []string{"testdata/everything.in.json", "testdata/prometheus-groups.in.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = []byte(strings.TrimSpace(string(data)))
		for n := range data {
			if _, err := reader(formatOf(file)).Read(data[:n]); err == nil {
				t.Fatalf("%s is believed when it ends after %d of %d bytes", file, n, len(data))
			}
		}
	}
}

// TestTrulyEmpty: an empty list is a registry without services.
func TestTrulyEmpty(t *testing.T) {
	for format, text := range map[document.Format]string{document.Native: `{"services":[]}`, document.PrometheusSD: " [ ]\n"} {
		content, err := reader(format).Read([]byte(text))
		if err != nil || len(content.Services)+len(content.Unreadable) > 0 {
			t.Errorf("%s: %v, %v", format, content, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.in.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(formatOf(file) == document.PrometheusSD, data)
	}
	f.Fuzz(func(t *testing.T, prometheus bool, data []byte) {
		format := document.Native
		if prometheus {
			format = document.PrometheusSD
		}
		content, err := reader(format).Read(data)
		if err != nil {
			if !errors.Is(err, source.ErrMalformed) || len(content.Services)+len(content.Unreadable) > 0 {
				t.Fatalf("%v, and %v", err, content)
			}
			return
		}
		names := map[string]bool{}
		for _, svc := range content.Services {
			if svc.Ref.Name == "" || names[svc.Ref.Name] || content.Unreadable[svc.Ref.Name] != nil {
				t.Fatalf("name %q is empty, not unique, or unreadable", svc.Ref.Name)
			}
			names[svc.Ref.Name] = true
			checkInstances(t, svc.Instances)
		}
		again, err := reader(format).Read(data)
		if err != nil || !cmp.Equal(describe(t, content), describe(t, again)) {
			t.Fatal("the same document reads otherwise the second time")
		}
	})
}

func checkInstances(t *testing.T, instances []model.Instance) {
	t.Helper()
	ids := map[string]bool{}
	for _, i := range instances {
		if i.ID == "" || ids[i.ID] {
			t.Fatalf("id %q is empty or not unique", i.ID)
		}
		ids[i.ID] = true
		if i.Problem != "" {
			continue
		}
		if i.Address == "" || len(i.Ports) == 0 {
			t.Fatalf("an instance without address or port: %+v", i)
		}
		for _, p := range i.Ports {
			if p.Number < 1 || p.Number > 65535 {
				t.Fatalf("port %d: %+v", p.Number, i)
			}
		}
	}
}
