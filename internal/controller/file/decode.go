package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

// Decode reads all Registry objects of one file. It is strict, and it does not stop at the first mistake: an unknown field, a wrong type
// and a value that the validation refuses are reported together, for all documents. Returned are the Registries without any mistake,
// with their defaults filled in; those with one are in Decoded.Broken.
func Decode(name string, data []byte) Decoded {
	var d Decoded
	chunks := split(data)
	for i, c := range chunks {
		doc := document{file: name}
		if len(chunks) > 1 {
			doc.number = i + 1
		}
		doc.decode(c, &d)
	}
	sortProblems(d.Problems)
	return d
}

// Decoded is the content of one file.
type Decoded struct {
	Registries []Entry
	Problems   []Problem
}

// Entry is a Registry and where it was found.
type Entry struct {
	Registry v1alpha1.Registry
	File     string
	Line     int
}

// chunk is the text of one document and the number of lines before it.
type chunk struct {
	text   []byte
	before int
}

// split cuts a file at its document markers. YAML gives "---" at the start of a line that meaning everywhere, in block texts too, so a
// mistake in one document does not hide the others.
func split(data []byte) []chunk {
	var chunks []chunk
	current, line := chunk{}, 0
	flush := func() {
		if !blank(current.text) {
			chunks = append(chunks, current)
		}
	}
	for l := range bytes.Lines(data) {
		if rest, found := bytes.CutPrefix(l, []byte("---")); found && (len(rest) == 0 || strings.ContainsAny(string(rest[:1]), " \t\r\n")) {
			flush()
			current = chunk{before: line}
			l = append([]byte("   "), rest...) // What follows the marker on its line belongs to the new document.
		}
		current.text = append(current.text, l...)
		line++
	}
	flush()
	return chunks
}

// blank reports text that is white space and comments.
func blank(text []byte) bool {
	for l := range bytes.Lines(text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' {
			return false
		}
	}
	return true
}

// document is one document while it is decoded.
type document struct {
	file     string
	number   int
	problems []Problem
	// lines has the line of each field that is there.
	lines map[string]int
	// meant are the fields that a misspelt one probably stands for: that they are missing is no second mistake.
	meant map[string]bool
}

func (d *document) decode(c chunk, out *Decoded) {
	d.lines, d.meant = map[string]int{}, map[string]bool{}
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(c.text))
	if err := dec.Decode(&root); err != nil {
		out.Problems = append(out.Problems, d.syntax(err, c.before))
		return
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		out.Problems = append(out.Problems, Problem{
			File: d.file, Line: c.before + 1, Document: d.number, Detail: "has text behind its end; start a new document with ---",
		})
		return
	}
	shift(&root, c.before)
	node := root.Content[0]
	if p, ok := d.foreign(node); ok {
		out.Problems = append(out.Problems, p)
		return
	}

	entry := Entry{File: d.file, Line: node.Line}
	if tree := d.value(node, reflect.TypeFor[v1alpha1.Registry](), ""); tree != nil {
		if err := reencode(tree, &entry.Registry); err != nil {
			d.report(node, "", "", err.Error())
		}
	}
	v1alpha1.Default(&entry.Registry)
	d.validate(&entry.Registry)
	if len(d.problems) == 0 {
		out.Registries = append(out.Registries, entry)
	}
	out.Problems = append(out.Problems, d.problems...)
}

// syntaxError takes the line out of the parser's message.
var syntaxError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

func (d *document) syntax(err error, before int) Problem {
	p := Problem{File: d.file, Document: d.number, Line: before + 1, Detail: err.Error()}
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			p.Line = before + n
		}
		p.Detail = m[2]
	}
	p.Detail = "is not YAML: " + p.Detail
	return p
}

// shift makes the lines of a document those of its file.
func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		shift(c, lines)
	}
}

// foreign reports a document that is no Registry at all: its fields need no comment.
func (d *document) foreign(node *yaml.Node) (Problem, bool) {
	p := Problem{File: d.file, Document: d.number, Line: node.Line}
	if node.Kind != yaml.MappingNode {
		p.Detail = fmt.Sprintf("is no object; it needs apiVersion: %s, kind: %s, metadata and spec", v1alpha1.APIVersion, v1alpha1.KindRegistry)
		return p, true
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Value == "kind" && value.Value != v1alpha1.KindRegistry {
			p.Line, p.Path, p.Value = value.Line, "kind", render(value.Value)
			p.Detail = "needs to be " + v1alpha1.KindRegistry + ", the only kind that these files hold"
			return p, true
		}
	}
	return p, false
}

// validate adds what the validation says, with the line of the field or of the nearest one around it.
func (d *document) validate(r *v1alpha1.Registry) {
	decoding := d.problems
	for _, err := range v1alpha1.Validate(r) {
		p := invalid(err)
		if d.explained(decoding, p.Path) {
			continue
		}
		p.File, p.Document, p.Line = d.file, d.number, d.line(p.Path)
		d.problems = append(d.problems, p)
	}
}

// explained reports whether a mistake found while decoding is the reason why the field is wrong.
func (d *document) explained(decoding []Problem, path string) bool {
	for meant := range d.meant {
		if within(meant, path) || within(path, meant) {
			return true
		}
	}
	for _, p := range decoding {
		if p.Path != "" && (within(p.Path, path) || within(path, p.Path)) {
			return true
		}
	}
	return false
}

// within reports whether path is outer or lies in it.
func within(path, outer string) bool {
	rest, found := strings.CutPrefix(path, outer)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func (d *document) line(path string) int {
	for {
		if l, ok := d.lines[path]; ok {
			return l
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.lines[""]
		}
		path = path[:i]
	}
}

// reencode turns a checked tree into a Registry.
func reencode(tree any, r *v1alpha1.Registry) error {
	data, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, r)
}
