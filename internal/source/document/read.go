package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Reader reads documents of one format. It is pure.
type Reader struct {
	// Format is Native when it is empty.
	Format Format
	// ServiceLabel is the label that names the service of a group in the format PrometheusSD, DefaultServiceLabel when it is empty.
	ServiceLabel string
	// Ref returns the Ref of the service of a name.
	Ref func(name string) model.Ref
}

// DefaultServiceLabel is the label that names a service by default. Prometheus itself calls that a job.
const DefaultServiceLabel = "job"

// Read returns what a document holds. The keys of Unreadable are names of services. The error is of the class source.ErrMalformed and says
// where the document is wrong, and not what stands there.
func (r Reader) Read(data []byte) (source.Content, error) {
	list, err := r.list(data)
	if err != nil {
		return source.Content{}, fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	return list.content(), nil
}

func (r Reader) list(data []byte) (*listing, error) {
	switch {
	case len(data) > MaxSize:
		return nil, fmt.Errorf("the document is larger than %d MiB", MaxSize>>20)
	case !utf8.Valid(data):
		// Reading on would replace what is wrong, and make other names of it.
		return nil, errors.New("the document is not in UTF-8")
	case len(bytes.TrimSpace(data)) == 0:
		return nil, errors.New("the document is empty")
	}
	if r.Format == PrometheusSD {
		return r.groups(data)
	}
	return r.native(data)
}

// listing collects the services of a document by name.
type listing struct {
	ref        func(name string) model.Ref
	names      []string
	services   map[string]*model.Service
	unreadable map[string]error
}

func (r Reader) newListing() *listing {
	return &listing{ref: r.Ref, services: map[string]*model.Service{}, unreadable: map[string]error{}}
}

// service returns the service of a name, made when it is new.
func (l *listing) service(name string) *model.Service {
	if l.services[name] == nil {
		l.services[name] = &model.Service{Ref: l.ref(name)}
		l.names = append(l.names, name)
	}
	return l.services[name]
}

// fail notes that the content of a service is unclear.
func (l *listing) fail(name string, why error) {
	if l.unreadable[name] == nil {
		l.unreadable[name] = fmt.Errorf("%w: %w", source.ErrMalformed, why)
	}
}

func (l *listing) content() source.Content {
	c := source.Content{Unreadable: l.unreadable}
	for _, name := range l.names {
		if l.unreadable[name] == nil {
			finish(l.services[name])
			c.Services = append(c.Services, l.services[name])
		}
	}
	return c
}

// elements takes a list apart.
func elements(data []byte, what string) ([]json.RawMessage, error) {
	if !strings.HasPrefix(strings.TrimLeft(string(data[:min(len(data), 64)]), " \t\r\n"), "[") {
		return nil, fmt.Errorf("%s is no list", what)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", what, problem(err))
	}
	return list, nil
}

// members takes an object apart. A key that is there twice is an error, because one of the two would be lost; and keys are not the same
// when their case differs.
func members(data []byte, what string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	switch token, err := dec.Token(); {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, problem(err))
	case token != json.Delim('{'):
		return nil, fmt.Errorf("%s is no object", what)
	}
	all := map[string]json.RawMessage{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, problem(err))
		}
		name := fmt.Sprint(key) // It is a string, which the decoder sees to.
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%s has the field %.80q twice", what, name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("%s: %w", what, problem(err))
		}
		all[name] = value
	}
	if _, err := dec.Token(); err != nil { // The closing brace.
		return nil, fmt.Errorf("%s: %w", what, problem(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something stands behind its end", what)
	}
	return all, nil
}

// problem words an error of the decoder without the content of the document.
func problem(err error) error {
	var (
		kind   *json.UnmarshalTypeError
		syntax *json.SyntaxError
	)
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Errorf("%s cannot be %s", kind.Field, word(kind.Value))
	case errors.As(err, &kind):
		return fmt.Errorf("cannot be %s", word(kind.Value))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("is cut off")
	case errors.As(err, &syntax) && strings.Contains(syntax.Error(), "unexpected end"):
		return errors.New("is cut off")
	case errors.As(err, &syntax):
		return fmt.Errorf("is no JSON at byte %d", syntax.Offset)
	}
	return errors.New("is no JSON")
}

// word is the kind of a value; of a number the decoder tells the number, too.
func word(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	if kind == "array" || kind == "object" {
		return "an " + kind
	}
	return "a " + kind
}
