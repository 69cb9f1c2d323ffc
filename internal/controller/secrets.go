package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrSecret is the class of errors about a secret that cannot be had. Their texts name the reference, never the content.
var ErrSecret = errors.New("secret not available")

// Secrets resolves references to secrets and config maps.
type Secrets interface {
	// Read returns the value as it is now. Callers read again at each connection, so that a rotated secret is used.
	Read(namespace, name, key string) ([]byte, error)
}

// SecretsDir reads the key of a secret from <dir>/<namespace>/<name>/<key>, the form in which Kubernetes mounts secrets.
type SecretsDir string

var _ Secrets = SecretsDir("")

// Read implements Secrets.
func (d SecretsDir) Read(namespace, name, key string) ([]byte, error) {
	if d == "" {
		return nil, fmt.Errorf("%w: key %q of %q is needed, and no folder with secrets is configured; set --secrets-dir", ErrSecret, key, name)
	}
	path := filepath.Join(string(d), namespace, name, key)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: key %q of %q: there is no file %s", ErrSecret, key, name, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: key %q of %q: %w", ErrSecret, key, name, err)
	}
	return data, nil
}
