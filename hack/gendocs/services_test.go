package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source/document"
)

// TestServicesSchema: what the schema accepts is read without a problem, and what it refuses is not. Each instance in the test files of the
// reader is tried alone.
func TestServicesSchema(t *testing.T) {
	text, err := servicesSchema()
	if err != nil {
		t.Fatal(err)
	}
	var schema spec.Schema
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for _, doc := range testDocuments(t) {
		var plain any
		valid := json.Unmarshal([]byte(doc), &plain) == nil && validate.AgainstSchema(&schema, withoutNulls(plain), strfmt.Default) == nil
		if read := readable([]byte(doc)); read != valid {
			t.Errorf("schema: %t, reader: %t\n%s", valid, read, doc)
		}
		if valid {
			accepted++
		} else {
			refused++
		}
	}
	if accepted < 8 || refused < 20 {
		t.Errorf("%d documents accepted, %d refused", accepted, refused)
	}
}

// withoutNulls takes the fields that are null out of objects: the validator is for OpenAPI, which has another word for what may be null. For
// a field that is required, to be missing is as bad.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, member any) bool { return member == nil })
		for _, member := range v {
			withoutNulls(member)
		}
	case []any:
		for _, element := range v {
			withoutNulls(element)
		}
	}
	return value
}

// testDocuments are documents with one service each, which has one instance at most.
func testDocuments(t *testing.T) []string {
	t.Helper()
	documents := []string{`{}`, `[]`, `null`, `{"services":null}`, `{"services":{}}`, `{"services":[]}`, `{"services":[7]}`, `{"services":[{"name":"","instances":[]}]}`}
	files, err := filepath.Glob(root + "/internal/source/document/testdata/*.in.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "prometheus-") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all struct{ Services []map[string]json.RawMessage }
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		for _, service := range all.Services {
			var instances []json.RawMessage
			if json.Unmarshal(service["instances"], &instances) != nil || len(instances) == 0 {
				documents = append(documents, wrap(t, service))
			}
			for _, instance := range instances {
				service["instances"] = json.RawMessage("[" + string(instance) + "]")
				documents = append(documents, wrap(t, service))
			}
		}
	}
	return documents
}

func wrap(t *testing.T, service map[string]json.RawMessage) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"services": []any{service}})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// readable reports whether a document is read without any problem.
func readable(data []byte) bool {
	content, err := document.Reader{Ref: func(name string) model.Ref { return model.Ref{Name: name} }}.Read(data)
	if err != nil || len(content.Unreadable) > 0 {
		return false
	}
	for _, svc := range content.Services {
		for _, inst := range svc.Instances {
			if inst.Problem != "" {
				return false
			}
		}
	}
	return true
}
