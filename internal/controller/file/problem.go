// Package file reads Registry objects from YAML files, reports everything that is wrong with them together, and tells when the files
// change.
package file

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Problem is one mistake in a file.
type Problem struct {
	// File is the file as it was named, or the folder that could not be read.
	File string
	// Line is where the mistake is, from 1; 0 when it has no place.
	Line int
	// Document counts the documents of a file from 1; 0 when the file has only one.
	Document int
	// Path is the path of the field, for instance "spec.source.zookeeper.servers[1]"; empty for a mistake in the file as a whole.
	Path string
	// Value is the value as a person would write it, empty when there is none to show.
	Value string
	// Detail says what is wrong and what to write instead.
	Detail string
}

// String renders "registries.yaml:12: document 2: spec.services.max: 0: needs to be at least 1", leaving out what there is none of.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	if p.Document > 0 {
		fmt.Fprintf(&b, ": document %d", p.Document)
	}
	for _, part := range []string{p.Path, p.Value, p.Detail} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	return b.String()
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
}

// invalid words an error of the validation.
func invalid(err *field.Error) Problem {
	p := Problem{Path: err.Field, Detail: err.Detail}
	switch err.Type { //nolint:exhaustive // All other types carry a value and a detail.
	case field.ErrorTypeRequired:
	case field.ErrorTypeDuplicate:
		p.Value, p.Detail = render(err.BadValue), "is there twice; remove one of them or give it another name"
	default:
		p.Value = render(err.BadValue)
	}
	return p
}

// maxShown is how much of a value is shown.
const maxShown = 80

func render(value any) string {
	text, ok := value.(string)
	if !ok {
		return fmt.Sprint(value)
	}
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return strconv.Quote(text)
}
