package controller

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

// secrets returns a folder with secrets as name/key -> value in the namespace ns.
func secrets(t *testing.T, values map[string]string) SecretsDir {
	t.Helper()
	dir := t.TempDir()
	for name, value := range values {
		path := filepath.Join(dir, "ns", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return SecretsDir(dir)
}

// secretRef refers to a key of the secret zk.
func secretRef(key string) Reference { return secret("ns", "zk", key) }

func TestSecretsDir(t *testing.T) {
	dir := secrets(t, map[string]string{"zk/password": "s3cret\n"})
	if data, err := dir.Read(t.Context(), secretRef("password")); string(data) != "s3cret\n" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	tests := []struct {
		name string
		dir  SecretsDir
		key  string
		want string
	}{
		{"no file", dir, "username", `key "username" of "zk": there is no file ` + filepath.Join(string(dir), "ns", "zk", "username")},
		{"a folder", dir, ".", "is a directory"},
		{"no folder configured", "", "password", "set --secrets-dir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.dir.Read(t.Context(), secretRef(tt.key))
			if !errors.Is(err, source.ErrSecret) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
}
