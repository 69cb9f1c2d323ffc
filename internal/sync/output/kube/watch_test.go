package kube

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
)

// TestOnlyMetadataOfServicesIsAskedFor watches how lists and watches are asked for.
func TestOnlyMetadataOfServicesIsAskedFor(t *testing.T) {
	a := newAPI(t)
	var mu sync.Mutex
	asked := map[string]bool{}
	a.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]; name == "services" || name == entries {
			metadataOnly := strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata")
			mu.Lock()
			asked[name+" "+r.URL.Query().Get("labelSelector")] = metadataOnly
			mu.Unlock()
		}
		a.ServeHTTP(w, r)
	})
	a.open(t)
	mu.Lock()
	defer mu.Unlock()
	want := map[string]bool{
		"services ": true, "serviceentries registry-bridge.io/instance=me": false, "serviceentries registry-bridge.io/instance!=me": false,
	}
	for request, metadataOnly := range want {
		if got, ok := asked[strings.ReplaceAll(request, "=me", "="+outputtest.Instance)]; !ok || got != metadataOnly {
			t.Errorf("%s: asked %t, for metadata only %t; all: %v", request, ok, got, asked)
		}
	}
}
