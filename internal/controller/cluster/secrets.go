package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/controller"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// secretFresh is how long a value is used without a look at the API server: a source with a thousand requests under way reads
	// its token once for all of them.
	secretFresh = 5 * time.Second
	// secretTimeout bounds one look.
	secretTimeout = 5 * time.Second
)

// Secrets reads Secrets and ConfigMaps one by one, by name: it needs the verb get and no other, and holds nothing that no Registry has
// referred to. When the API server does not answer, the last value is used; when it says that there is none, none is.
type Secrets struct {
	reader client.Reader

	mu    sync.Mutex
	known map[object]*content
}

// object is a Secret or a ConfigMap.
type object struct {
	kind v1alpha1.RefKind
	name types.NamespacedName
}

// content is what an object held when it was last read.
type content struct {
	// turn holds one token; who has it owns the rest.
	turn chan struct{}
	read time.Time
	data map[string][]byte
}

var _ controller.Secrets = (*Secrets)(nil)

// NewSecrets returns a reader. The client must not cache: a cache would need to list and watch all secrets of a namespace.
func NewSecrets(reader client.Reader) *Secrets {
	return &Secrets{reader: reader, known: map[object]*content{}}
}

// Read implements controller.Secrets.
func (s *Secrets) Read(ctx context.Context, ref controller.Reference) ([]byte, error) {
	o := object{ref.Kind, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}}
	data, err := s.content(o).get(ctx, func(ctx context.Context) (map[string][]byte, error) { return s.fetch(ctx, o) })
	if err != nil {
		return nil, fmt.Errorf("%w: key %q of %s %s: %w", source.ErrSecret, ref.Key, o.kind, o.name, err)
	}
	value, found := data[ref.Key]
	if !found {
		return nil, fmt.Errorf("%w: %s %s has no key %q", source.ErrSecret, o.kind, o.name, ref.Key)
	}
	return value, nil
}

func (s *Secrets) content(o object) *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.known[o]
	if c == nil {
		c = &content{turn: make(chan struct{}, 1)}
		c.turn <- struct{}{}
		s.known[o] = c
	}
	return c
}

// get returns the content, fetched when it is not fresh. Callers wait for each other.
func (c *content) get(ctx context.Context, fetch func(context.Context) (map[string][]byte, error)) (map[string][]byte, error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	if !c.read.IsZero() && time.Since(c.read) < secretFresh {
		return c.data, nil
	}
	data, err := fetch(ctx)
	switch {
	case err == nil:
		c.data, c.read = data, time.Now()
	case apierrors.IsNotFound(err):
		c.data, c.read = nil, time.Time{}
		return nil, err
	case c.data == nil || ctx.Err() != nil:
		return nil, err
	default:
		c.read = time.Now() // The API server is not asked again before the others have had their turn either.
	}
	return c.data, nil
}

// fetch reads an object. Its errors name the object; they never hold any of its content.
func (s *Secrets) fetch(ctx context.Context, o object) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, secretTimeout, errors.New("the API server did not answer in time"))
	defer cancel()
	if o.kind == v1alpha1.RefConfigMap {
		m := &corev1.ConfigMap{}
		if err := s.reader.Get(ctx, o.name, m); err != nil {
			return nil, err
		}
		data := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
		maps.Copy(data, m.BinaryData)
		for key, value := range m.Data {
			data[key] = []byte(value)
		}
		return data, nil
	}
	m := &corev1.Secret{}
	if err := s.reader.Get(ctx, o.name, m); err != nil {
		return nil, err
	}
	if m.Data == nil {
		return map[string][]byte{}, nil
	}
	return m.Data, nil
}
