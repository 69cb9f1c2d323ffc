package reason_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/reason"
)

// TestAllNamesEveryReason compares the list with the constants of the package.
func TestAllNamesEveryReason(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, d := range parsed.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.CONST {
			continue
		}
		for _, s := range decl.Specs {
			spec, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" {
				lit, ok := spec.Values[0].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is no literal", spec.Names[0].Name)
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				declared = append(declared, text)
			}
		}
	}
	var listed []string
	for _, info := range reason.All() {
		listed = append(listed, string(info.Reason))
	}
	slices.Sort(declared)
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); diff != "" {
		t.Errorf("reasons (-declared +listed):\n%s", diff)
	}
}

func TestAllExplains(t *testing.T) {
	for _, info := range reason.All() {
		for _, text := range []string{info.Summary, info.Advice} {
			if len(text) < 10 || !strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1] {
				t.Errorf("%s: %q is no full sentence", info.Reason, text)
			}
		}
	}
}
