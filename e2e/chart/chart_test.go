// Package chart_test renders the chart with Helm's own packages, and runs the program with the rights that the chart gives it.
package chart_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	charter "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// chartDir is the chart.
const chartDir = "../../deploy/helm/registry-bridge"

// registryKind is how Helm names the kind in what an API server serves.
const registryKind = "registry-bridge.io/v1alpha1/Registry"

// release is one rendering of the chart.
type release struct {
	// Name and Namespace are those of the release.
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Fresh says that the API server does not know the kind Registry yet.
	Fresh  bool           `json:"fresh"`
	Values map[string]any `json:"values"`

	// upgrade says that something is installed already, which clients shows to the function lookup.
	upgrade bool
	clients engine.ClientProvider
	// version is that of chart and program when it is not the one in Chart.yaml.
	version string
}

// load reads the chart.
func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render returns what every template makes, by the template's name.
func (r *release) render(c *chart.Chart) (map[string]string, error) {
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = common.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	if !r.Fresh {
		capabilities.APIVersions = append(slices.Clone(capabilities.APIVersions), registryKind)
	}
	values, err := util.ToRenderValues(c, r.Values, common.ReleaseOptions{
		Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: !r.upgrade, IsUpgrade: r.upgrade,
	}, capabilities)
	if err != nil {
		return nil, err
	}
	draw := engine.Render // As in helm template, lookup finds nothing.
	if r.clients != nil {
		draw = func(c charter.Charter, values common.Values) (map[string]string, error) {
			return engine.RenderWithClientProvider(c, values, r.clients)
		}
	}
	files, err := draw(c, values)
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	for name, text := range files {
		if strings.TrimSpace(text) != "" && !strings.HasPrefix(path.Base(name), "_") {
			named[path.Base(name)] = text
		}
	}
	return named, nil
}

// objects returns the objects that Helm would create, and those that it would create for hooks.
func (r *release) objects(t *testing.T) (installed, hooks []*unstructured.Unstructured) {
	t.Helper()
	c := load(t)
	if r.version != "" {
		c.Metadata.Version, c.Metadata.AppVersion = r.version, r.version
	}
	files, err := r.render(c)
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "NOTES.txt")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, document := range documents(files[name]) {
			u := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(document), &u.Object); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			if u.GetAnnotations()["helm.sh/hook"] != "" {
				hooks = append(hooks, u)
			} else {
				installed = append(installed, u)
			}
		}
	}
	return installed, hooks
}

// documents splits a file into its documents that hold something.
func documents(text string) []string {
	var all []string
	for document := range strings.SplitSeq("\n"+text, "\n---") {
		var content any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil || content != nil {
			all = append(all, strings.TrimSpace(document))
		}
	}
	return all
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs; look at it with -update and git diff. Got:\n%s", name, got)
	}
}
