package controller

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
)

func TestCredentials(t *testing.T) {
	ref := v1alpha1.SecretRef{Name: "zk"}
	dir := secrets(t, map[string]string{"zk/username": "bridge\n", "zk/password": "s3cret pass\r\n"})
	s := Sources{Secrets: dir}
	user, password, err := s.credentials("ns", ref)
	if user != "bridge" || password != "s3cret pass" || err != nil {
		t.Errorf("got %q, %q, %v", user, password, err)
	}

	if err := os.WriteFile(filepath.Join(string(dir), "ns", "zk", "password"), []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, password, err := s.credentials("ns", ref); password != "rotated" || err != nil {
		t.Errorf("after a rotation: got %q, %v", password, err)
	}
}

func TestCredentialsMissing(t *testing.T) {
	dir := secrets(t, map[string]string{"zk/username": "bridge", "empty/username": "bridge", "empty/password": "\n"})
	tests := []struct {
		name    string
		secrets SecretsDir
		ref     string
		want    string
	}{
		{"no key", dir, "zk", `key "password" of "zk": there is no file ` + filepath.Join(string(dir), "ns", "zk", "password")},
		{"no secret", dir, "other", `key "username" of "other": there is no file`},
		{"empty", dir, "empty", `key "password" of "empty" is empty`},
		{"no folder configured", "", "zk", "set --secrets-dir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Sources{Secrets: tt.secrets}.credentials("ns", v1alpha1.SecretRef{Name: tt.ref})
			if !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTLSErrorsHoldNoSecret(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
	s := Sources{Secrets: secrets(t, map[string]string{"ca/ca.crt": "not a certificate", "client/tls.crt": "nothing", "client/tls.key": key})}
	tests := map[string]*v1alpha1.TLS{
		`key "ca.crt" of "ca" holds no certificate in PEM`: {CARef: &v1alpha1.ObjectKeyRef{Name: "ca", Key: "ca.crt"}},
		`key "other" of "ca": there is no file`:            {CARef: &v1alpha1.ObjectKeyRef{Name: "ca", Key: "other"}},
		`keys "tls.crt" and "tls.key" of "client"`:         {ClientSecretRef: &v1alpha1.SecretRef{Name: "client"}},
	}
	for want, config := range tests {
		_, err := s.tls("ns", config)
		if !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("the error holds the key: %v", err)
		}
	}
	got, err := s.tls("ns", &v1alpha1.TLS{ServerName: "zk.example.com"})
	if err != nil || got.RootCAs != nil || got.ServerName != "zk.example.com" {
		t.Errorf("got %+v, %v; want the system's authorities", got, err)
	}
}
