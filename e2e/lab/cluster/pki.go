package cluster

import (
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
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// authority signs the certificates of one cluster.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// writePKI makes a certificate authority, the certificates of servers and clients, a kubeconfig for each client of the API server, and
// the key that signs service accounts' tokens. All of it is in the folder dir.
func writePKI(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	a := &authority{dir: dir}
	if err := a.init(); err != nil {
		return err
	}
	ips := []net.IP{net.ParseIP(NodeIP), net.ParseIP(apiServiceIP), net.IPv4(127, 0, 0, 1)}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	node := pkix.Name{CommonName: "system:node:" + NodeName, Organization: []string{"system:nodes"}}
	for _, c := range []struct {
		file    string
		subject pkix.Name
		names   []string
		client  bool
	}{
		{"kube-apiserver", pkix.Name{CommonName: "kube-apiserver"}, names, false},
		{"kubelet-server", node, []string{NodeName}, false},
		{"kubelet-client", pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}}, nil, false},
		{"admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil, true},
		{string(Kubelet), node, nil, true},
		{string(ControllerManager), pkix.Name{CommonName: "system:kube-controller-manager"}, nil, true},
		{string(Scheduler), pkix.Name{CommonName: "system:kube-scheduler"}, nil, true},
		{string(Proxy), pkix.Name{CommonName: "system:kube-proxy"}, nil, true},
	} {
		err := a.issue(c.file, &x509.Certificate{
			Subject: c.subject, DNSNames: c.names, IPAddresses: ips,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		})
		if err == nil && c.client {
			err = a.writeKubeconfig(c.file)
		}
		if err != nil {
			return err
		}
	}
	return a.writeServiceAccountKey()
}

// init makes the authority's own certificate.
func (a *authority) init() (err error) {
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "lab CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := a.sign(template, template, &a.key.PublicKey)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return a.write("ca", der, a.key)
}

// issue makes a key and a certificate.
func (a *authority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := a.sign(template, a.cert, &key.PublicKey)
	if err != nil {
		return err
	}
	return a.write(name, der, key)
}

func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PublicKey) ([]byte, error) {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	return x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
}

// write writes a certificate and its key.
func (a *authority) write(name string, certificate []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := a.writePEM(name+".crt", "CERTIFICATE", certificate); err != nil {
		return err
	}
	return a.writePEM(name+".key", "EC PRIVATE KEY", private)
}

func (a *authority) writePEM(file, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// writeServiceAccountKey makes the key that signs tokens, and its public half.
func (a *authority) writeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := a.writePEM("service-accounts.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return a.writePEM("service-accounts.key", "EC PRIVATE KEY", private)
}

// writeKubeconfig writes how a client with a certificate reaches the API server. It holds all it needs, so that it can be copied.
func (a *authority) writeKubeconfig(name string) error {
	config := clientcmdapi.NewConfig()
	file := func(suffix string) ([]byte, error) { return os.ReadFile(filepath.Join(a.dir, name+suffix)) }
	cert, err := file(".crt")
	if err != nil {
		return err
	}
	key, err := file(".key")
	if err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: apiServerURL, CertificateAuthorityData: ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: name}
	config.CurrentContext = "lab"
	return clientcmd.WriteToFile(*config, filepath.Join(a.dir, name+".kubeconfig"))
}
