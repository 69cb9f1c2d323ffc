package eureka

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// read decodes an answer into a registry.
func read(text string) (*registry, answer, error) {
	r := newRegistry("id")
	a, err := decode(strings.NewReader(text), newConverter("home"), func(name string, records []record, problem error) {
		r.add(name, records, problem, nil)
	})
	return r, a, err
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDecodeServers: what real servers have written, whole and as changes.
func TestDecodeServers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"spring-cloud.json", "spring-cloud-delta.json", "xstream.json"} {
		r, a, err := read(testdata(t, name))
		if err != nil || !a.hashed || a.hash != r.hash() || len(r.apps) == 0 {
			t.Errorf("%s: %v, hash %q, of what was read %q", name, err, a.hash, r.hash())
		}
		for _, app := range r.apps {
			for _, inst := range app.service.Instances {
				if inst.Problem != "" {
					t.Errorf("%s: %+v", name, inst)
				}
			}
		}
	}
}

// TestDecodeRefuses: an answer of which any part is not what it should be is not believed at all.
func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const empty = `{"applications":{"versions__delta":"1","apps__hashcode":"","application":[]}}`
	if _, a, err := read(empty); err != nil || !a.hashed || a.hash != "" {
		t.Fatalf("an empty registry: %+v, %v", a, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "a number": "1", "a list": "[]", "a text": `"a"`, "an object": "{}",
		"applications null":              `{"applications":null}`,
		"applications empty":             `{"applications":{}}`,
		"application null":               `{"applications":{"apps__hashcode":"","application":null}}`,
		"application a number":           `{"applications":{"apps__hashcode":"","application":1}}`,
		"an application that is none":    `{"applications":{"application":[1]}}`,
		"an application without a name":  `{"applications":{"application":[{"instance":[]}]}}`,
		"a name that is none":            `{"applications":{"application":[{"name":1,"instance":[]}]}}`,
		"hash a number":                  `{"applications":{"apps__hashcode":5,"application":[]}}`,
		"two answers":                    empty + empty,
		"a page":                         "<html><body>Please log in</body></html>",
		"XML":                            "<applications><versions__delta>1</versions__delta></applications>",
		"JSON that is no JSON":           `{"applications":{"application":[{"name":"A","instance":[{"instanceId":}]}]}}`,
		"a brace too few":                empty[:len(empty)-1],
		"a quote that is not closed":     `{"applications":{"application":[{"name":"A`,
		"deeper than anything should be": `{"applications":{"a":` + strings.Repeat("[", 100_000),
	} {
		if _, _, err := read(text); err == nil {
			t.Errorf("%s: believed", name)
		} else if len(err.Error()) > 200 || strings.Contains(err.Error(), "Please") {
			t.Errorf("%s: the error repeats the answer: %v", name, err)
		}
	}
}

// TestDecodeCutOff: wherever an answer ends early, it is not believed; nor is one that is read in small pieces any different.
func TestDecodeCutOff(t *testing.T) {
	t.Parallel()
	whole := strings.TrimSpace(testdata(t, "xstream.json"))
	for end := range whole {
		_, _, err := read(whole[:end])
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, source.ErrMalformed) {
			t.Fatalf("cut off at byte %d: %v", end, err)
		}
	}
	seen := 0
	_, err := decode(iotest.OneByteReader(strings.NewReader(whole)), newConverter(""), func(string, []record, error) { seen++ })
	if err != nil || seen == 0 {
		t.Errorf("in pieces: %d applications, %v", seen, err)
	}
}

// endless is a reader of the same bytes for ever.
type endless struct{ text string }

// Read implements io.Reader.
func (e endless) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat(e.text, len(p)/len(e.text)+1)[:len(p)]), nil
}

// TestDecodeLimits: what has no end is given up on before it fills the memory.
func TestDecodeLimits(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"spaces": " ", "a text": "a", "brackets": "[", "instances": `{},`} {
		head := `{"applications":{"application":[{"name":"A","instance":[`
		if name == "a text" {
			head += `{"hostName":"`
		}
		body := io.MultiReader(strings.NewReader(head), endless{text})
		_, err := decode(body, newConverter(""), func(string, []record, error) {})
		if !errors.Is(err, source.ErrMalformed) {
			t.Errorf("%s without end: %v", name, err)
		}
	}
}

// TestDecodeParts: a part that makes no sense costs nothing else.
func TestDecodeParts(t *testing.T) {
	t.Parallel()
	r, a, err := read(`{"a":[1,{"b":2}],"applications":{"x":{"y":[]},"application":[
		{"name":"BAD","instance":[]}, {"name":"BAD","instance":"none"}, {"name":"BAD","instance":[]},
		{"instance":[{"instanceId":"i","ipAddr":"10.0.0.1","status":"UP","port":{"$":1,"@enabled":"true"}}],"name":"LATE"},
		{"name":"EMPTY","instance":[]},
		{"name":"LATE","instance":{"instanceId":"j","ipAddr":"10.0.0.4","status":"UP","port":{"$":1,"@enabled":"true"}}},
		{"name":"MIXED","instance":[1,null,"a",[],{"instanceId":5,"ipAddr":"10.0.0.2"},{"instanceId":"i","ipAddr":"10.0.0.3","status":"UP","port":{"$":"8080"}}]}
	]}}`)
	if err != nil || a.hashed {
		t.Fatalf("%+v, %v", a, err)
	}
	if len(r.unreadable) != 1 || !errors.Is(r.unreadable["BAD"], source.ErrMalformed) {
		t.Errorf("unreadable: %v", r.unreadable)
	}
	good := map[string][]string{}
	problems := 0
	for name, app := range r.apps {
		good[name] = []string{}
		for _, inst := range app.service.Instances {
			if inst.Problem == "" {
				good[name] = append(good[name], inst.Address)
			} else {
				problems++
			}
		}
	}
	want := map[string][]string{"LATE": {"10.0.0.1", "10.0.0.4"}, "EMPTY": {}, "MIXED": {"10.0.0.3"}}
	if diff := cmp.Diff(want, good); diff != "" || problems != 5 {
		t.Errorf("%d problems; (-want +got)\n%s", problems, diff)
	}
}

// FuzzDecode: no text makes the decoder panic, gives two instances one id, or an instance without a port and without a problem; what is
// believed can be taken apart again.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"spring-cloud.json", "spring-cloud-delta.json", "xstream.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"applications":{"application":{"name":"A","instance":{"instanceId":"","port":{"$":"99999999999","@enabled":true}}}}}`))
	f.Add([]byte(`{"applications":{"application":[{"name":"\ud800","instance":[{"metadata":{"a":[1],"b":"\u0000"}},{"instanceId":"#0"}]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := newRegistry("id")
		var changes []change
		_, err := decode(bytes.NewReader(text), newConverter(""), func(name string, records []record, problem error) {
			changes = append(changes, change{app: name, records: slices.Clone(records)})
			r.add(name, records, problem, nil)
		})
		if err != nil {
			return
		}
		check(t, r)
		after, _ := r.apply(changes)
		check(t, after)
	})
}

func check(t *testing.T, r *registry) {
	t.Helper()
	for _, app := range r.apps {
		seen := map[string]bool{}
		for _, inst := range app.service.Instances {
			if inst.ID == "" || seen[inst.ID] {
				t.Fatalf("id %q is missing, or not unique", inst.ID)
			}
			seen[inst.ID] = true
			ports := slices.ContainsFunc(inst.Ports, func(p model.Port) bool { return p.Number > 0 && p.Number <= 65535 })
			if inst.Problem == "" && (!ports || inst.Address == "") {
				t.Fatalf("nothing is wrong with %+v", inst)
			}
		}
	}
}
