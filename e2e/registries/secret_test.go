package registries_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// frozen: a ConfigMap stops every write, also those of a bridge that starts later, until it says otherwise.
func (s *scene) frozen() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	b := s.bridge()
	s.registry("shop")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.kubectl.Run(s, "-n", s.namespace, "create", "configmap", "registry-bridge-freeze",
		"--from-literal=frozen=true", "--from-literal=reason=incident 7")
	s.wait("shop", "Ready", "True Frozen")
	before := s.get("serviceentries", versions)
	s.register("com.acme.Cart", "10.0.0.2:20880")
	s.await("registry/shop", "{.status.summary}", `"instances":2`)
	b.Stop(s)
	s.bridge()
	s.wait("shop", "Synced", "True")
	s.register("com.acme.Cart", "10.0.0.3:20880")
	s.await("registry/shop", "{.status.summary}", `"instances":3`)
	if after := s.get("serviceentries", versions); after != before {
		s.Errorf("objects were written while frozen: %s, then %s", before, after)
	}
	s.patch("configmap/registry-bridge-freeze", map[string]any{"data": map[string]any{"frozen": "false"}})
	s.await("serviceentries", addresses, "10.0.0.1 10.0.0.2 10.0.0.3")
}

// rotation: a secret that is missing, wrong and then right is used without a restart, and never shown.
func (s *scene) rotation() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	if err := s.zk.SetACL("/dubbo", wire.ACL{Perms: wire.PermAll, Scheme: "digest", ID: zktest.Digest("bridge:s3cret-2")}); err != nil {
		s.Fatal(err)
	}
	b := s.bridge()
	s.kubectl.Feed(s, fmt.Sprintf(`apiVersion: registry-bridge.io/v1alpha1
kind: Registry
metadata: {name: shop, namespace: %s}
spec: {source: {zookeeper: {servers: ["%s"], sessionTimeout: 4s, auth: {digestSecretRef: {name: zk}}}}}
`, s.namespace, s.zk.Addr()), "apply", "-f", "-")
	s.wait("shop", "Connected", "False SecretUnavailable")
	s.kubectl.Run(s, "-n", s.namespace, "create", "secret", "generic", "zk", "--from-literal=username=bridge", "--from-literal=password=s3cret-1")
	s.wait("shop", "Connected", "False Unauthorized")
	s.patch("secret/zk", map[string]any{"stringData": map[string]any{"password": "s3cret-2"}})
	s.wait("shop", "Connected", "True Connected")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.secretIsNowhere("s3cret-", b)
}

// secretIsNowhere looks for a secret in everything that a person can see.
func (s *scene) secretIsNowhere(secret string, b *lab.Process) {
	s.Helper()
	seen := map[string]string{
		"log":            b.Output(),
		"Registries":     s.kubectl.Run(s, "-n", s.namespace, "get", "registries", "-o", "yaml"),
		"Events":         s.kubectl.Run(s, "-n", s.namespace, "get", "events", "-o", "yaml"),
		"ServiceEntries": s.kubectl.Run(s, "-n", s.namespace, "get", "serviceentries", "-o", "yaml"),
		"state":          s.page("/debug/state"),
		"metrics":        s.page("/metrics"),
	}
	for where, text := range seen {
		if strings.Contains(text, secret) {
			s.Errorf("the secret is in the %s:\n%s", where, text)
		}
	}
}

// shows waits until the state page of the bridge that was started last has all of these.
func (s *scene) shows(want ...string) {
	s.Helper()
	lab.Await(s, settleLimit, "the state has "+strings.Join(want, ", "), func(ctx context.Context) error {
		got, err := s.ask(ctx, "/debug/state")
		for _, text := range want {
			if err == nil && !strings.Contains(got, text) {
				err = fmt.Errorf("%w: %s", errNotYet, got)
			}
		}
		return err
	})
}

// page returns what the bridge that was started last shows over HTTP.
func (s *scene) page(path string) string {
	s.Helper()
	text, err := s.ask(s.Context(), path)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

func (s *scene) ask(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+path, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}
