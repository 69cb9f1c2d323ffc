package registries_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// freezeLimit is within what time a freeze stops every write.
const freezeLimit = 5 * time.Second

// call runs a command as an administrator does, as the plugin of kubectl that it is, and returns its exit code and what it printed.
func (s *scene) call(args ...string) (code int, text string) {
	s.Helper()
	plugin := filepath.Join(s.TempDir(), "kubectl-registry_bridge")
	if err := os.Symlink(program, plugin); err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), plugin, append(args, "--kubeconfig", s.kube.Kubeconfig)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.Fatal(err)
	}
	s.Logf("kubectl registry-bridge %s: exit code %d\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), &out)
	return cmd.ProcessState.ExitCode(), out.String()
}

// do runs a command that has to succeed and to print something.
func (s *scene) do(want string, args ...string) {
	s.Helper()
	if code, text := s.call(args...); code != 0 || !strings.Contains(text, want) {
		s.Fatalf("%v: exit code %d, want one of 0 and %q; it printed\n%s", args, code, want, text)
	}
}

// refused runs a command that has to refuse, and to say why.
func (s *scene) refused(why string, args ...string) {
	s.Helper()
	if code, text := s.call(args...); code != 1 || !strings.Contains(text, why) {
		s.Errorf("%v: exit code %d, want 1 and %q; it printed\n%s", args, code, why, text)
	}
}

// services is how many services are registered while the bridge is frozen: many more than it can have written until then.
const services = 150

// frozenByCommand: a freeze in the middle of many writes stops them all in time, over a kill of the bridge and a start, until it ends.
func (s *scene) frozenByCommand() {
	b := s.bridge("--kube-api-qps", "10", "--kube-api-burst", "1")
	s.registry("shop")
	s.wait("shop", "Synced", "True")
	for i := range services {
		s.register(fmt.Sprintf("com.acme.S%d", i), fmt.Sprintf("10.0.1.%d:20880", i))
	}
	s.await("serviceentries", hosts, "com.acme")
	asked := time.Now()
	s.do("confirmed by 1 Registry", "freeze", "--namespace", s.namespace, "--watch-namespaces", s.namespace, "--reason", "incident 7")
	if took := time.Since(asked); took > freezeLimit {
		s.Errorf("it was confirmed after %s", took)
	}
	s.await("registry/shop", `{.status.conditions[?(@.type=="Ready")].message}`, "by admin: incident 7")
	b.Kill()
	s.bridge()
	s.wait("shop", "Ready", "True Frozen")
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.await("registry/shop", "{.status.summary}", fmt.Sprintf(`"instances":%d`, services+1))
	for _, w := range s.kube.Writes(s, s.namespace, "bridge") {
		if w.At.After(asked.Add(freezeLimit)) {
			s.Errorf("%s %s %s was written %s after the freeze", w.Verb, w.Resource, w.Name, w.At.Sub(asked))
		}
	}
	if n := strings.Count(s.get("serviceentries", hosts), "com.acme"); n == 0 || n >= services {
		s.Errorf("%d of %d objects were written before the freeze: it interrupted nothing", n, services)
	}
	s.do("incident 7", "unfreeze", "--namespace", s.namespace, "--watch-namespaces", s.namespace)
	s.await("registry/shop", "{.status.summary}", fmt.Sprintf(`"published":%d`, services+1))
	s.refused("no bridge is installed", "freeze", "--namespace", "default")
}

// released: a person ends the hold on a mass removal.
func (s *scene) released() {
	var nodes []string
	for i := range 40 {
		nodes = append(nodes, s.register("com.acme.Cart", fmt.Sprintf("10.0.1.%d:20880", i)))
	}
	b := s.bridge()
	s.registry("shop")
	s.await("serviceentries", addresses, "10.0.1.39")
	// What is live at a start is what a loss is measured by; else that is what there was five minutes ago.
	b.Stop(s)
	s.bridge()
	s.await("registry/shop", "{.status.sources}", `"state":"Synced"`)
	s.wait("shop", "Holding", "False NothingHeld")
	for _, node := range nodes[10:] {
		if err := s.zk.Delete(node); err != nil {
			s.Fatal(err)
		}
	}
	s.await("registry/shop", "{.status.holds}", `"guard":"MassRemoval"`, `"endpoints":30`)
	id := s.get("registry/shop", `{.status.holds[?(@.guard=="MassRemoval")].id}`)
	registry := s.namespace + "/shop"
	s.do(id+"  MassRemoval  30 endpoints", "release", registry)
	s.do("hold "+id, "explain", "10.0.1.20:20880", "--address", "http://"+s.listen)
	s.refused("does not hold anything as h-0000", "release", registry, "h-0000")
	s.do("nothing is held by that any more", "release", registry, id)
	s.await("registry/shop", "{.status.summary}", `"published":10`, `"held":0`)
	s.do("nothing is held", "release", registry)
}

// paused: one Registry stops writing, and goes on in the mode that it had.
func (s *scene) paused() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.bridge()
	s.registry("shop")
	s.await("serviceentries", addresses, "10.0.0.1")
	s.do("is paused; it was Active", "pause", "shop", "--namespace", s.namespace)
	s.wait("shop", "Ready", "True Paused")
	s.register("com.acme.Cart", "10.0.0.2:20880")
	s.await("registry/shop", "{.status.summary}", `"instances":2`)
	if got := s.get("serviceentries", addresses); got != "10.0.0.1" {
		s.Errorf("%s is published while the Registry is paused", got)
	}
	s.do("10.0.0.2:20880  waiting, Paused", "explain", "com.acme.Cart", "--address", "http://"+s.listen)
	s.do("is Active", "resume", s.namespace+"/shop")
	s.await("serviceentries", addresses, "10.0.0.1 10.0.0.2")
}

// purged: what a Registry has published goes when a person says so, and not before.
func (s *scene) purged() {
	s.register("com.acme.Cart", "10.0.0.1:20880")
	s.register("com.acme.User", "10.0.0.2:20880")
	s.bridge()
	s.registry("shop", "endpoints: {mode: WorkloadEntry}")
	s.await("registry/shop", "{.status.summary}", `"published":2`)
	purge := func(args ...string) []string {
		return append([]string{"purge", "--instance", s.namespace, "--watch-namespaces", s.namespace}, args...)
	}
	registry := s.namespace + "/shop"
	s.refused("it would be published again by Registry "+registry, purge(registry, "--yes")...)
	s.do("is paused", "pause", registry)
	s.wait("shop", "Ready", "True Paused")
	s.do("ServiceEntry "+s.namespace+"/com.acme.user", purge(registry, "--dry-run")...)
	s.refused("there is nobody to ask", purge(registry)...)
	s.do("nothing to delete", purge("--orphans", "--yes")...)
	s.do("4 objects deleted", purge(registry, "--yes")...)
	s.awaitGone("serviceentries")
	s.do("is Active", "resume", registry)
	s.await("serviceentries", hosts, "com.acme.cart com.acme.user")

	s.kubectl.Run(s, "-n", s.namespace, "delete", "registry/shop")
	s.do("Registry "+registry+": 4 objects", purge("--orphans", "--yes")...)
	s.awaitGone("serviceentries")
}
