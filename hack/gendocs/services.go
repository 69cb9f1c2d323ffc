package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/source/document"
)

// servicesSchema is the JSON Schema of the documents of sources http and file, made of the Go types that read them.
func servicesSchema() (string, error) {
	d := &typeDocs{types: map[string]string{}, fields: map[string]fieldDoc{}}
	if err := d.parse(root + "/internal/source/document"); err != nil {
		return "", err
	}
	schema, err := d.schema(reflect.TypeFor[document.Document](), "")
	if err != nil {
		return "", err
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "Services, as registry-bridge reads them from http and file sources"
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return "", err
	}
	return string(text) + "\n", nil
}

// schema returns the schema of a type. The rules of a field are those of its tag "schema".
func (d *typeDocs) schema(t reflect.Type, rules string) (map[string]any, error) {
	var out map[string]any
	var err error
	switch t.Kind() { //nolint:exhaustive // Documents have no other kinds; one that is new is an error.
	case reflect.Pointer:
		return d.schema(t.Elem(), rules)
	case reflect.String:
		out = map[string]any{"type": "string"}
	case reflect.Float64:
		out = map[string]any{"type": "number"}
	case reflect.Slice, reflect.Map:
		out, err = d.collection(t)
	case reflect.Struct:
		out, err = d.structure(t)
	default:
		err = fmt.Errorf("%s: no schema for a %s", t, t.Kind())
	}
	if err != nil {
		return nil, err
	}
	return out, apply(out, rules)
}

func (d *typeDocs) collection(t reflect.Type) (map[string]any, error) {
	element, err := d.schema(t.Elem(), "")
	if t.Kind() == reflect.Map {
		return map[string]any{"type": "object", "additionalProperties": element}, err
	}
	return map[string]any{"type": "array", "items": element}, err
}

func (d *typeDocs) structure(t reflect.Type) (map[string]any, error) {
	properties, required := map[string]any{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		property, err := d.schema(f.Type, f.Tag.Get("schema"))
		if err != nil {
			return nil, err
		}
		property["description"] = d.fields[t.Name()+"."+f.Name].text
		if options == "omitempty" {
			// What can be left out can be null, too.
			property["type"] = []any{property["type"], "null"}
		} else {
			required = append(required, name)
		}
		properties[name] = property
	}
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out, nil
}

// apply adds rules to a schema: words separated by commas.
func apply(schema map[string]any, rules string) error {
	for rule := range strings.SplitSeq(rules, ",") {
		key, value, _ := strings.Cut(rule, "=")
		switch key {
		case "":
		case "integer":
			schema["type"] = "integer"
		case "health":
			words := []any{nil}
			for _, word := range slices.Sorted(maps.Keys(document.Healths())) {
				words = append(words, word)
			}
			schema["enum"] = words
		default:
			number, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return fmt.Errorf("rule %q: %w", rule, err)
			}
			schema[key] = number
		}
	}
	return nil
}
