package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// Reference names one value that a Registry refers to.
type Reference struct {
	// Kind is what holds it: v1alpha1.RefSecret or v1alpha1.RefConfigMap.
	Kind v1alpha1.RefKind
	// Namespace is that of the Registry; Name and Key are the object's and the value's.
	Namespace, Name, Key string
}

// Secrets resolves references to secrets and config maps.
type Secrets interface {
	// Read returns the value as it is now, or was a few seconds ago. Callers read again at each connection, so that a rotated secret is
	// used. Errors are of the class source.ErrSecret.
	Read(ctx context.Context, ref Reference) ([]byte, error)
}

// SecretsDir reads the key of a secret, or of a config map, from <dir>/<namespace>/<name>/<key>, the form in which Kubernetes mounts them.
type SecretsDir string

var _ Secrets = SecretsDir("")

// Read implements Secrets.
func (d SecretsDir) Read(_ context.Context, ref Reference) ([]byte, error) {
	if d == "" {
		return nil, fmt.Errorf("%w: key %q of %q is needed, and no folder with secrets is configured; set --secrets-dir", source.ErrSecret, ref.Key, ref.Name)
	}
	path := filepath.Join(string(d), ref.Namespace, ref.Name, ref.Key)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: key %q of %q: there is no file %s", source.ErrSecret, ref.Key, ref.Name, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: key %q of %q: %w", source.ErrSecret, ref.Key, ref.Name, err)
	}
	return data, nil
}
