package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificates are PEM files of a certificate authority of one test, and of a server and a client that it signed.
type Certificates struct {
	CA               string
	ServerKeyAndCert string
	ServerKey        string
	ClientKey        string
	ClientCert       string
}

// NewCertificates makes a certificate authority, a server certificate for localhost and a client certificate in t.TempDir.
func NewCertificates(t testing.TB) Certificates {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var data bytes.Buffer
		for _, block := range blocks {
			data.Write(pem.EncodeToMemory(block))
		}
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ca := issue(t, nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lab CA"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	})
	server := issue(t, ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "lab server"},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	client := issue(t, ca, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "lab client"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return Certificates{
		CA:               write("ca.pem", ca.certPEM()),
		ServerKeyAndCert: write("server.pem", server.keyPEM(t), server.certPEM()),
		ServerKey:        write("server-key.pem", server.keyPEM(t)),
		ClientKey:        write("client-key.pem", client.keyPEM(t)),
		ClientCert:       write("client.pem", client.certPEM()),
	}
}

type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue signs the template with the authority ca, or with its own key when ca is nil.
func issue(t testing.TB, ca *identity, template *x509.Certificate) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert: cert, key: key}
}

func (i *identity) certPEM() *pem.Block {
	return &pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw}
}

func (i *identity) keyPEM(t testing.TB) *pem.Block {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}
