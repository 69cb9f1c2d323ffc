package image

import (
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var built = flag.String("layout", "", "OCI layout that was built, for TestBuilt (make image-check)")

// TestBuilt looks at the image that `make image` built, and runs the one for this machine from a root that holds nothing else.
func TestBuilt(t *testing.T) {
	if *built == "" {
		t.Skip("needs -layout: run it with make image-check")
	}
	index, _, err := ReadLayout(*built)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("not valid: %v", err)
	}
	config, dir := extract(t, index)
	if config.Config.User != User {
		t.Errorf("user: %q", config.Config.User)
	}

	t.Run("version", func(t *testing.T) {
		out, err := inside(t, dir, "version", "-o", "json").Output()
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Version, Commit, Go, OS, Arch string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		labels := config.Config.Labels
		if got.Version != labels[labelVersion] || strings.TrimSuffix(got.Commit, "-dirty") != labels[labelRevision] {
			t.Errorf("the program says %+v, the labels %v", got, labels)
		}
		if got.OS != "linux" || got.Arch != runtime.GOARCH || !strings.HasPrefix(got.Go, "go1.") {
			t.Errorf("the program says %+v", got)
		}
	})
	t.Run("roots of trust", func(t *testing.T) { testTrust(t, dir) })
}

// extract writes the image for this machine into a folder, and checks which files and which platforms there are.
func extract(t *testing.T, index v1.ImageIndex) (config *v1.ConfigFile, dir string) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	dir = t.TempDir()
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		if m.Platform.Architecture != runtime.GOARCH {
			continue
		}
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if config, err = img.ConfigFile(); err != nil {
			t.Fatal(err)
		}
		names := untar(t, dir, mutate.Extract(img))
		slices.Sort(names)
		want := []string{
			"etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt",
			"licenses/LICENSE", "licenses/THIRD_PARTY_NOTICES", "registry-bridge",
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	if config == nil {
		t.Fatalf("no image for linux/%s", runtime.GOARCH)
	}
	return config, dir
}

// inside is a command of the program as the container would run it: as its user, and with the image as its root. Only root may change
// the root; for others the program runs where it lies.
func inside(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Entrypoint, args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	if os.Getuid() != 0 {
		t.Log("not root: without chroot")
		cmd = exec.CommandContext(t.Context(), filepath.Join(dir, Entrypoint), args...)
		cmd.Dir, cmd.Env = dir, []string{"SSL_CERT_FILE=" + filepath.Join(dir, CARoots)}
	}
	return cmd
}

// testTrust: the program takes its roots of trust from the file in the image. It refuses the certificate of a Consul server, and accepts
// it once the server's own CA is in that file.
func testTrust(t *testing.T, dir string) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no service here", http.StatusForbidden)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // It would tell of the client that does not trust it.
	server.StartTLS()
	defer server.Close()
	registry := fmt.Sprintf(`{apiVersion: registry-bridge.io/v1alpha1, kind: Registry, metadata: {name: c, namespace: n},
		spec: {source: {consul: {address: %q}}}}`, server.URL)
	if err := os.WriteFile(filepath.Join(dir, "registry.yaml"), []byte(registry), 0o644); err != nil {
		t.Fatal(err)
	}
	plan := func() string {
		out, err := inside(t, dir, "plan", "--config", "registry.yaml", "--timeout", "2s").CombinedOutput()
		if err == nil {
			t.Errorf("plan succeeded; the server answers nothing but 403")
		}
		return string(out)
	}

	if out := plan(); !strings.Contains(out, "certificate signed by unknown authority") || asked.Load() != 0 {
		t.Errorf("a stranger's certificate: %d requests\n%s", asked.Load(), out)
	}

	roots, err := os.OpenFile(filepath.Join(dir, CARoots), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := pem.Encode(roots, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}); err != nil {
		t.Fatal(err)
	}
	if err := roots.Close(); err != nil {
		t.Fatal(err)
	}
	if out := plan(); !strings.Contains(out, "403") || asked.Load() == 0 {
		t.Errorf("the certificate of a known CA: %d requests\n%s", asked.Load(), out)
	}
}
