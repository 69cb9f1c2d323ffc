package eureka

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// maxInstances is how many instances of an answer are accepted, so that a small answer cannot become a large state.
	maxInstances = 1_000_000
	// maxValue is how much text there may be for one instance, and between two of them.
	maxValue = 4 << 20
	// maxInterned is how many different texts of metadata are looked for in what follows.
	maxInterned = 1 << 14
)

// answer is what an answer says of the registry besides its applications.
type answer struct {
	// hash sums up the whole registry, also in an answer that has only changes.
	hash string
	// hashed says that there is one: that of an empty registry is empty.
	hashed bool
}

// decoder reads one answer, an application at a time, as it comes from the network: what is kept of an instance is a fraction of its text.
//
//	{"applications": {"versions__delta": …, "apps__hashcode": …, "application": [{"name": …, "instance": [{…}, …]}, …]}}
//
// Instead of a list of one, "application" and "instance" may be that one by itself; servers that write JSON with XStream do so.
type decoder struct {
	json    *json.Decoder
	budget  *budget
	convert *converter
	// take is given each application: its records in the order of the answer, or why they cannot be read.
	take func(name string, records []record, problem error)

	instances int
	// listed says that there was a list of applications, even an empty one.
	listed bool
	answer answer
}

// budget ends with an error when more than maxValue is read at once.
type budget struct {
	r    io.Reader
	left int
}

var (
	errValueTooLarge = fmt.Errorf("%w: the text of one instance is larger than %d MiB", source.ErrMalformed, maxValue>>20)
	errBehind        = fmt.Errorf("%w: there is something behind the answer", source.ErrMalformed)
	errNoList        = fmt.Errorf("%w: what should be a list is none", source.ErrMalformed)
)

// Read implements io.Reader.
func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errValueTooLarge
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// decode reads an answer to its end. An error means that nothing of it can be believed.
func decode(r io.Reader, convert *converter, take func(name string, records []record, problem error)) (answer, error) {
	b := &budget{r: r}
	d := &decoder{json: json.NewDecoder(b), budget: b, convert: convert, take: take}
	if err := d.top(); err != nil {
		return answer{}, classed(err)
	}
	return d.answer, nil
}

// classed gives errors of package json their class, without the text that they may repeat.
func classed(err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: the answer is no JSON from byte %d on", source.ErrMalformed, syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("%w: %s", source.ErrMalformed, kindProblem(kind))
	}
	return err
}

func (d *decoder) top() error {
	found := false
	if err := d.open('{'); err != nil {
		return err
	}
	err := d.fields(func(key string) error {
		if key != "applications" || found {
			return d.skip()
		}
		found = true
		if err := d.open('{'); err != nil {
			return err
		}
		return d.fields(d.applications)
	})
	if err != nil {
		return err
	}
	d.budget.left = maxValue
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return cmp.Or(err, errBehind)
	}
	if !d.listed && !d.answer.hashed {
		return fmt.Errorf("%w: the answer has neither applications nor their hash", source.ErrMalformed)
	}
	return nil
}

// applications reads one field of the object "applications".
func (d *decoder) applications(key string) error {
	switch key {
	case "apps__hashcode":
		d.answer.hashed = true
		return d.value(&d.answer.hash)
	case "application":
		d.listed = true
		return d.oneOrMore(d.application, func() error {
			if err := d.open('{'); err != nil {
				return err
			}
			return d.application()
		})
	}
	return d.skip()
}

// application reads one application, whose brace has been read.
func (d *decoder) application() error {
	var (
		name    string
		records []record
		problem error
	)
	add := func(err error) error {
		if err == nil {
			records, err = d.add(records)
		}
		return err
	}
	err := d.fields(func(key string) error {
		switch key {
		case "name":
			return d.value(&name)
		case "instance":
			err := d.oneOrMore(func() error { return add(d.bare()) }, func() error { return add(d.entry(d.json.Decode)) })
			if errors.Is(err, errNoList) {
				problem, err = errNoList, nil
			}
			return err
		}
		return d.skip()
	})
	switch {
	case err != nil:
		return err
	case name == "":
		return fmt.Errorf("%w: an application has no name", source.ErrMalformed)
	case problem != nil:
		records = nil
	}
	d.take(name, records, problem)
	return nil
}

// entry reads an instance with the function that it is given.
func (d *decoder) entry(decode func(any) error) error {
	d.budget.left = maxValue
	d.convert.reset()
	err := decode(&d.convert.entry)
	if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
		d.convert.problem, err = kindProblem(kind), nil
	}
	return err
}

// bare reads an instance whose brace has been read.
func (d *decoder) bare() error {
	fields := map[string]json.RawMessage{}
	err := d.fields(func(key string) error {
		var value json.RawMessage
		err := d.value(&value)
		fields[key] = value
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return d.entry(func(into any) error { return json.Unmarshal(text, into) })
}

// add converts the instance that was read.
func (d *decoder) add(records []record) ([]record, error) {
	d.instances++
	if d.instances > maxInstances {
		return nil, fmt.Errorf("%w: the answer has more than %d instances", source.ErrMalformed, maxInstances)
	}
	return append(records, d.convert.record()), nil
}

// oneOrMore reads a list, each element with more, or an element that stands by itself: with one, after its brace.
func (d *decoder) oneOrMore(one, more func() error) error {
	t, err := d.token()
	switch {
	case err != nil:
		return err
	case t == json.Delim('{'):
		return one()
	case t != json.Delim('['):
		return errNoList
	}
	for d.more() {
		if err := more(); err != nil {
			return err
		}
	}
	return d.open(']')
}

// fields reads the fields of an object, each value with f, and its closing brace.
func (d *decoder) fields(f func(key string) error) error {
	for d.more() {
		t, err := d.token()
		if err != nil {
			return err
		}
		key, _ := t.(string) // Package json lets nothing else stand there.
		if err := f(key); err != nil {
			return err
		}
	}
	return d.open('}')
}

// open reads a bracket or brace.
func (d *decoder) open(want json.Delim) error {
	t, err := d.token()
	if err == nil && t != want {
		err = fmt.Errorf("%w: the answer lacks a %q where one has to be", source.ErrMalformed, want.String())
	}
	return err
}

func (d *decoder) more() bool {
	d.budget.left = maxValue
	return d.json.More()
}

func (d *decoder) token() (json.Token, error) {
	d.budget.left = maxValue
	t, err := d.json.Token()
	return t, cutOff(err)
}

func (d *decoder) value(into any) error {
	d.budget.left = maxValue
	return cutOff(d.json.Decode(into))
}

// cutOff tells the end of the answer in the middle of it from the end.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *decoder) skip() error {
	var ignored json.RawMessage
	return d.value(&ignored)
}
