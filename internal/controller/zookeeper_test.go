package controller

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/registry-bridge/registry-bridge/api/v1alpha1"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

func TestCredentials(t *testing.T) {
	ref := v1alpha1.SecretRef{Name: "zk"}
	dir := secrets(t, map[string]string{"zk/username": "bridge\n", "zk/password": "s3cret pass\r\n"})
	s := Sources{Secrets: dir}
	user, password, err := s.credentials(t.Context(), "ns", ref)
	if user != "bridge" || password != "s3cret pass" || err != nil {
		t.Errorf("got %q, %q, %v", user, password, err)
	}

	if err := os.WriteFile(filepath.Join(string(dir), "ns", "zk", "password"), []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, password, err := s.credentials(t.Context(), "ns", ref); password != "rotated" || err != nil {
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
			_, _, err := Sources{Secrets: tt.secrets}.credentials(t.Context(), "ns", v1alpha1.SecretRef{Name: tt.ref})
			if !errors.Is(err, source.ErrSecret) || !strings.Contains(err.Error(), tt.want) {
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
		_, err := s.tls(t.Context(), "ns", config)
		if !errors.Is(err, source.ErrSecret) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("the error holds the key: %v", err)
		}
	}
	got, err := s.tls(t.Context(), "ns", &v1alpha1.TLS{ServerName: "zk.example.com"})
	if err != nil || got.RootCAs != nil || got.ServerName != "zk.example.com" {
		t.Errorf("got %+v, %v; want the system's authorities", got, err)
	}
}

// certificate returns a fresh self-signed certificate and its key, in PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"zk"}, NotAfter: time.Now().Add(time.Hour), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	s := Sources{Secrets: secrets(t, map[string]string{"ca/ca.crt": cert, "client/tls.crt": cert, "client/tls.key": key})}
	config, err := s.tls(t.Context(), "ns", &v1alpha1.TLS{
		CARef:           &v1alpha1.ObjectKeyRef{Kind: v1alpha1.RefConfigMap, Name: "ca", Key: "ca.crt"},
		ClientSecretRef: &v1alpha1.SecretRef{Name: "client"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Certificates) != 1 || config.InsecureSkipVerify {
		t.Errorf("got %+v, want the client's certificate and verification", config)
	}
	if _, err := config.Certificates[0].Leaf.Verify(x509.VerifyOptions{Roots: config.RootCAs, DNSName: "zk"}); err != nil {
		t.Errorf("the configured authority is not trusted: %v", err)
	}
}
