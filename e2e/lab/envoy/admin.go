package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// askLimit bounds one question.
const askLimit = 10 * time.Second

// Stats returns the counters and gauges whose names match a pattern.
func (e *Envoy) Stats(ctx context.Context, pattern *regexp.Regexp) (map[string]uint64, error) {
	body, err := e.ask(ctx, "/stats?filter="+url.QueryEscape(pattern.String()))
	if err != nil {
		return nil, err
	}
	values := map[string]uint64{}
	for line := range strings.Lines(string(body)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if value, err := strconv.ParseUint(text, 10, 64); err == nil { // Histograms and texts have no single number.
			values[name] = value
		}
	}
	return values, nil
}

// Connections returns how many connections to the endpoints of a cluster were made.
func (e *Envoy) Connections(t testing.TB, cluster string) uint64 {
	t.Helper()
	// The semicolon ends the name in statistics when istiod has rewritten that.
	values, err := e.Stats(t.Context(), regexp.MustCompile(`^cluster\.`+regexp.QuoteMeta(cluster)+`;?\.upstream_cx_total$`))
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for _, value := range values {
		sum += value
	}
	return sum
}

// Dubbo returns what the Dubbo filters of all ports count together: "request", "request_decoding_error", "response_success", ….
func (e *Envoy) Dubbo(t testing.TB) map[string]uint64 {
	t.Helper()
	values, err := e.Stats(t.Context(), regexp.MustCompile(`^dubbo\.`))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]uint64{}
	for name, value := range values {
		sums[name[strings.LastIndexByte(name, '.')+1:]] += value
	}
	return sums
}

// ErrNoCluster says that Envoy has no cluster of a name.
var ErrNoCluster = errors.New("envoy has no such cluster")

// Endpoints returns the addresses of the endpoints of a cluster, each as host:port, or ErrNoCluster.
func (e *Envoy) Endpoints(ctx context.Context, cluster string) (addresses []string, err error) {
	body, err := e.ask(ctx, "/clusters?format=json&filter="+url.QueryEscape("^"+regexp.QuoteMeta(cluster)+"$"))
	if err != nil {
		return nil, err
	}
	var answer adminv3.Clusters
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the clusters of envoy: %w", err)
	}
	err = ErrNoCluster
	for _, status := range answer.GetClusterStatuses() {
		if status.GetName() != cluster {
			continue
		}
		err = nil
		for _, host := range status.GetHostStatuses() {
			socket := host.GetAddress().GetSocketAddress()
			addresses = append(addresses, net.JoinHostPort(socket.GetAddress(), strconv.FormatUint(uint64(socket.GetPortValue()), 10)))
		}
	}
	return addresses, err
}

// DubboClusters returns the names of the clusters that the routing tables of Dubbo name now, whichever port they are for.
func (e *Envoy) DubboClusters(ctx context.Context) (map[string]bool, error) {
	dump, err := e.dump(ctx)
	if err != nil {
		return nil, err
	}
	clusters := map[string]bool{}
	walk(dump, func(node map[string]any) bool {
		delete(node, "draining_state") // A listener that is there for old connections only.
		if kind, _ := node["@type"].(string); strings.HasSuffix(kind, ".DubboProxy") {
			walk(node, func(inner map[string]any) bool {
				for _, key := range []string{"cluster", "name"} { // Of a route, and of a part of a split; tables have names, too.
					if name, ok := inner[key].(string); ok {
						clusters[name] = true
					}
				}
				return true
			})
		}
		return true
	})
	return clusters, nil
}

// walk calls visit for each object of a dump, and for what is in it when visit says so.
func walk(dump any, visit func(map[string]any) bool) {
	switch node := dump.(type) {
	case map[string]any:
		if !visit(node) {
			return
		}
		for _, value := range node {
			walk(value, visit)
		}
	case []any:
		for _, value := range node {
			walk(value, visit)
		}
	}
}

// dump returns the whole configuration. It is read without types, since it has all of Envoy's.
func (e *Envoy) dump(ctx context.Context) (any, error) {
	body, err := e.ask(ctx, "/config_dump?include_eds")
	if err != nil {
		return nil, err
	}
	var dump any
	if err := json.Unmarshal(body, &dump); err != nil {
		return nil, fmt.Errorf("read the configuration of envoy: %w: %.200s", err, body)
	}
	return dump, nil
}

// CheckAccepted fails the test when Envoy has refused anything that istiod sent. Since a refused update keeps an older one in place, that
// may stay unseen for long.
func (e *Envoy) CheckAccepted(t testing.TB) {
	t.Helper()
	rejected, err := e.Stats(t.Context(), regexp.MustCompile(`update_rejected$`))
	if err != nil {
		t.Error(err)
		return
	}
	for name, count := range rejected {
		if count > 0 {
			t.Errorf("envoy has refused what istiod sent: %s is %d", name, count)
		}
	}
	dump, err := e.dump(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	walk(dump, func(node map[string]any) bool {
		if state, ok := node["error_state"].(map[string]any); ok {
			t.Errorf("envoy has refused what istiod sent: %v", state["details"])
		}
		return true
	})
}

// ask asks the administration.
func (e *Envoy) ask(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.admin+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask envoy: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", response.Status, body))
	}
	if err != nil {
		return nil, fmt.Errorf("ask envoy for %s: %w", path, err)
	}
	return body, nil
}
