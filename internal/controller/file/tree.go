package file

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// value checks a node against the Go type that it is for, and returns it as plain values for JSON, without the parts that are wrong;
// nil when nothing is left. A null is the same as a field that is not there, as in Kubernetes.
func (d *document) value(n *yaml.Node, t reflect.Type, path string) any {
	d.lines[path] = n.Line
	if n.Kind == yaml.AliasNode {
		d.report(n, path, "*"+n.Value, "is an alias, which is not supported; write the value out")
		return nil
	}
	if n.ShortTag() == "!!null" {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return d.text(n, t, path)
	}
	switch t.Kind() { //nolint:exhaustive // The API has no other kinds, which a test checks.
	case reflect.Struct:
		return d.object(n, t, path)
	case reflect.Map:
		return d.mapping(n, t, path)
	case reflect.Slice:
		return d.list(n, t, path)
	default:
		return d.scalar(n, t, path)
	}
}

// object checks a mapping against a struct.
func (d *document) object(n *yaml.Node, t reflect.Type, path string) any {
	fields := map[string]reflect.Type{}
	collect(t, fields)
	return d.pairs(n, path, func(key, value *yaml.Node, child string) (any, bool) {
		ft, known := fields[key.Value]
		if !known {
			d.unknown(key, fields, path, child)
			return nil, false
		}
		v := d.value(value, ft, child)
		return v, v != nil
	})
}

// collect lists the fields of a struct by their JSON names, those of inlined structs included.
func collect(t reflect.Type, fields map[string]reflect.Type) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && strings.Contains(options, "inline"):
			collect(f.Type, fields)
		default:
			fields[name] = f.Type
		}
	}
}

func (d *document) mapping(n *yaml.Node, t reflect.Type, path string) any {
	return d.pairs(n, path, func(key, value *yaml.Node, _ string) (any, bool) {
		v := d.value(value, t.Elem(), path+"["+key.Value+"]")
		return v, v != nil
	})
}

// pairs walks over a mapping, and reports keys that are there twice.
func (d *document) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node, child string) (any, bool)) any {
	if n.Kind != yaml.MappingNode {
		d.report(n, path, shown(n), "needs to be an object with fields")
		return nil
	}
	out := map[string]any{}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		child := join(path, key.Value)
		if seen[key.Value] {
			d.report(key, child, "", "is there twice; remove one of them")
			continue
		}
		seen[key.Value] = true
		if v, ok := each(key, n.Content[i+1], child); ok {
			out[key.Value] = v
		}
	}
	return out
}

func (d *document) list(n *yaml.Node, t reflect.Type, path string) any {
	if n.Kind != yaml.SequenceNode {
		d.report(n, path, shown(n), "needs to be a list; write it in brackets or with a dash before each entry")
		return nil
	}
	out := make([]any, len(n.Content))
	for i, c := range n.Content {
		// A bad entry leaves its zero value, so that the entries behind it keep their numbers.
		child := path + "[" + strconv.Itoa(i) + "]"
		if v := d.value(c, t.Elem(), child); v != nil {
			out[i] = v
		} else {
			out[i] = reflect.Zero(t.Elem()).Interface()
		}
	}
	return out
}

func (d *document) scalar(n *yaml.Node, t reflect.Type, path string) any {
	tag := n.ShortTag()
	switch t.Kind() { //nolint:exhaustive // See value.
	case reflect.String:
		if n.Kind != yaml.ScalarNode {
			d.report(n, path, shown(n), "needs to be a text")
			return nil
		}
		if tag == "!!bool" || tag == "!!int" || tag == "!!float" {
			d.report(n, path, n.Value, "needs to be a text; put it in quotes")
			return nil
		}
		return n.Value
	case reflect.Bool:
		if tag == "!!bool" {
			return strings.EqualFold(n.Value, "true")
		}
		d.report(n, path, shown(n), "needs to be true or false")
	default:
		var i int64
		if tag == "!!int" && n.Decode(&i) == nil && (t.Bits() > 32 || i >= math.MinInt32 && i <= math.MaxInt32) {
			return i
		}
		d.report(n, path, shown(n), "needs to be a whole number, without quotes")
	}
	return nil
}

// text checks a value whose type reads itself, for instance a duration.
func (d *document) text(n *yaml.Node, t reflect.Type, path string) any {
	var plain any
	err := n.Decode(&plain)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(plain); err == nil {
			err = json.Unmarshal(data, reflect.New(t).Interface())
		}
	}
	if err == nil {
		return plain
	}
	detail := "is malformed: " + err.Error()
	if t == reflect.TypeFor[metav1.Duration]() {
		detail = "needs a duration with a unit, e.g. 30s, 5m or 1h30m"
	}
	d.report(n, path, shown(n), detail)
	return nil
}

// unknown reports a field that does not exist, with the one that was probably meant.
func (d *document) unknown(key *yaml.Node, fields map[string]reflect.Type, path, child string) {
	best, distance := "", 3
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if n := edits(strings.ToLower(name), strings.ToLower(key.Value)); n < distance && n < len(name) {
			best, distance = name, n
		}
	}
	if best == "" {
		d.report(key, child, "", "is not a known field; known are "+strings.Join(names, ", "))
		return
	}
	d.meant[join(path, best)] = true
	d.report(key, child, "", "is not a known field; did you mean "+best+"?")
}

// edits counts the letters to insert, delete or replace to turn one word into the other.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func (d *document) report(n *yaml.Node, path, value, detail string) {
	d.problems = append(d.problems, Problem{
		File: d.file, Line: n.Line, Document: d.number, Path: path, Value: value, Detail: detail,
	})
}

// shown renders a node as it was written, as far as it is one value.
func shown(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "{…}"
	case n.Kind == yaml.SequenceNode:
		return "[…]"
	case n.ShortTag() == "!!str":
		return render(n.Value)
	}
	return fmt.Sprintf("%.80s", n.Value)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
