package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	dubboproxy "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/dubbo_proxy/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// FilterAPIVersion is the only version of EnvoyFilters.
const FilterAPIVersion = group + "/v1alpha3"

// The words of an EnvoyFilter that replaces what forwards bytes by what understands Dubbo.
const (
	tcpProxy    = "envoy.filters.network.tcp_proxy"
	dubboProxy  = "envoy.filters.network.dubbo_proxy"
	dubboType   = "type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy"
	passthrough = "PassthroughCluster"
)

type filterSpec struct {
	Priority      int32         `json:"priority,omitempty"`
	ConfigPatches []configPatch `json:"configPatches"`
}

type configPatch struct {
	ApplyTo string      `json:"applyTo"`
	Match   filterMatch `json:"match"`
	Patch   patch       `json:"patch"`
}

type filterMatch struct {
	Context  string        `json:"context"`
	Listener listenerMatch `json:"listener"`
}

type listenerMatch struct {
	PortNumber  uint32           `json:"portNumber"`
	FilterChain filterChainMatch `json:"filterChain"`
}

type filterChainMatch struct {
	Filter named `json:"filter"`
}

type named struct {
	Name string `json:"name"`
}

type patch struct {
	Operation string      `json:"operation"`
	Value     filterValue `json:"value"`
}

type filterValue struct {
	Name        string         `json:"name"`
	TypedConfig map[string]any `json:"typed_config"`
}

// proxyConfig is Envoy's DubboProxy as far as we set it.
type proxyConfig struct {
	StatPrefix          string      `json:"stat_prefix"`
	MultipleRouteConfig routeTables `json:"multiple_route_config"`
}

type routeTables struct {
	Name        string       `json:"name"`
	RouteConfig []routeTable `json:"route_config,omitempty"`
}

type routeTable struct {
	Interface string       `json:"interface"`
	Group     string       `json:"group,omitempty"`
	Version   string       `json:"version,omitempty"`
	Routes    []dubboRoute `json:"routes"`
}

type dubboRoute struct {
	Match routeMatch  `json:"match"`
	Route routeAction `json:"route"`
}

type routeMatch struct {
	Method  methodMatch   `json:"method"`
	Headers []headerMatch `json:"headers,omitempty"`
}

type methodMatch struct {
	Name stringMatch `json:"name"`
}

type stringMatch struct {
	Exact     *string `json:"exact,omitempty"`
	Prefix    *string `json:"prefix,omitempty"`
	Suffix    *string `json:"suffix,omitempty"`
	SafeRegex *regex  `json:"safe_regex,omitempty"`
}

type regex struct {
	Regex string `json:"regex"`
}

type headerMatch struct {
	Name               string      `json:"name"`
	StringMatch        stringMatch `json:"string_match"`
	TreatMissingAsNone bool        `json:"treat_missing_header_as_empty,omitempty"`
}

type routeAction struct {
	Cluster          string            `json:"cluster,omitempty"`
	WeightedClusters *weightedClusters `json:"weighted_clusters,omitempty"`
}

type weightedClusters struct {
	Clusters []weightedCluster `json:"clusters"`
}

type weightedCluster struct {
	Name   string `json:"name"`
	Weight uint32 `json:"weight"`
}

// The conditions on what a call carries. Envoy takes the strings among the attachments of a call for headers.
const (
	attachmentGroup   = "group"
	attachmentVersion = "version"
	attachmentTag     = "dubbo.tag"
	anyText           = ".*"
	// noVersion are the two ways in which consumers say that they want no version in particular: Java's "0.0.0", and nothing.
	noVersion = `(0\.0\.0)?`
)

// priorities of the objects. Namespaces come before the root namespace, so that their own tables replace what the listener had first; of
// one table the last route comes last. Patches that merge are applied in this order after all that replace.
const (
	namespacePriority = -20
	restPriority      = 10
)

// errNotText: JSON cannot hold what a table would have to match.
var errNotText = errors.New("dubbo_proxy: a name is no UTF-8")

// newFilterDocument renders a table, or a part of one. The error is what Envoy would say of it.
func newFilterDocument(o *translate.Object) (*document[filterSpec], error) {
	f := o.EnvoyFilter
	config := newProxyConfig(f)
	typed, err := config.typed()
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", o.Key, err)
	}
	p := configPatch{
		ApplyTo: "NETWORK_FILTER",
		Match: filterMatch{
			Context:  "SIDECAR_OUTBOUND",
			Listener: listenerMatch{PortNumber: f.Port, FilterChain: filterChainMatch{Filter: named{tcpProxy}}},
		},
		Patch: patch{Operation: "REPLACE", Value: filterValue{Name: dubboProxy, TypedConfig: typed}},
	}
	if f.Part == translate.TableRoutes || f.Part == translate.TableRest {
		p.Match.Listener.FilterChain.Filter.Name, p.Patch.Operation = dubboProxy, "MERGE"
	}
	d := &document[filterSpec]{APIVersion: FilterAPIVersion, Kind: string(o.Key.Kind), Metadata: newMetadata(o)}
	if added := addedLabels(o.Labels); added != "" {
		d.Metadata.annotate(translate.AnnotationLabels, added)
	}
	d.Spec = filterSpec{Priority: priorityOf(f), ConfigPatches: []configPatch{p}}
	return d, nil
}

func priorityOf(f *translate.EnvoyFilter) int32 {
	var priority int32
	if !f.Mesh {
		priority = namespacePriority
	}
	if f.Part == translate.TableRest {
		priority += restPriority
	}
	return priority
}

func newProxyConfig(f *translate.EnvoyFilter) *proxyConfig {
	name := "dubbo_" + strconv.FormatUint(uint64(f.Port), 10)
	c := &proxyConfig{StatPrefix: name, MultipleRouteConfig: routeTables{Name: name}}
	for i := range f.Routes {
		c.MultipleRouteConfig.RouteConfig = append(c.MultipleRouteConfig.RouteConfig, newRouteTable(&f.Routes[i]))
	}
	if f.Part == translate.WholeTable || f.Part == translate.TableRest {
		c.MultipleRouteConfig.RouteConfig = append(c.MultipleRouteConfig.RouteConfig, routeTable{
			Interface: "*", Routes: []dubboRoute{{Match: routeMatch{Method: methodMatch{matchText("")}}, Route: routeAction{Cluster: passthrough}}},
		})
	}
	return c
}

// newRouteTable renders what happens to the calls of one service. To Envoy an empty group or version suits every call; what says that a
// call has none is a condition on its attachments.
func newRouteTable(r *translate.DubboRoute) routeTable {
	t := routeTable{Interface: r.Interface, Group: r.Group, Version: r.Version}
	var headers []headerMatch
	if r.Group == "" {
		none := ""
		headers = append(headers, headerMatch{attachmentGroup, stringMatch{Exact: &none}, true})
	}
	if r.Version == "" {
		headers = append(headers, headerMatch{attachmentVersion, stringMatch{SafeRegex: &regex{noVersion}}, true})
	}
	for i := range r.Matches {
		m := &r.Matches[i]
		d := dubboRoute{Match: routeMatch{Method: methodMatch{newMethodMatch(m.Method)}}, Route: newRouteAction(m.To)}
		if m.Tag != "" {
			d.Match.Headers = append(d.Match.Headers, headerMatch{Name: attachmentTag, StringMatch: stringMatch{Exact: &m.Tag}})
		}
		d.Match.Headers = append(d.Match.Headers, headers...)
		t.Routes = append(t.Routes, d)
	}
	return t
}

// matchText matches text, or everything when it is empty: Envoy wants to be told.
func matchText(expression string) stringMatch {
	if expression == "" {
		expression = anyText
	}
	return stringMatch{SafeRegex: &regex{expression}}
}

func newMethodMatch(m translate.MethodMatch) stringMatch {
	switch {
	case m.Exact != "":
		return stringMatch{Exact: &m.Exact}
	case m.Prefix != "":
		return stringMatch{Prefix: &m.Prefix}
	case m.Suffix != "":
		return stringMatch{Suffix: &m.Suffix}
	}
	return matchText(m.Regex)
}

func newRouteAction(to []translate.DubboTarget) routeAction {
	if len(to) == 1 {
		return routeAction{Cluster: to[0].Cluster()}
	}
	w := &weightedClusters{}
	for _, t := range to {
		w.Clusters = append(w.Clusters, weightedCluster{t.Cluster(), t.Weight})
	}
	return routeAction{WeightedClusters: w}
}

// typed returns the configuration with its type, when Envoy accepts it: istiod does not ask, and a proxy that refuses it keeps the old one.
func (c *proxyConfig) typed() (map[string]any, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("dubbo_proxy: %w", err)
	}
	if bytes.Contains(text, []byte(`\ufffd`)) { // That is what becomes of bytes that are no character.
		return nil, errNotText
	}
	var config dubboproxy.DubboProxy
	if err := protojson.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("dubbo_proxy: %w", err)
	}
	if err := config.ValidateAll(); err != nil {
		return nil, fmt.Errorf("dubbo_proxy: %w", err)
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(c)
	if err != nil {
		return nil, fmt.Errorf("dubbo_proxy: %w", err)
	}
	m["@type"] = dubboType
	return m, nil
}

// parseFilter reads a table, or a part of one. What was found that we would not write shows as Unknown.
func parseFilter(m map[string]any) (*translate.Object, error) {
	var d document[filterSpec]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m, &d); err != nil {
		d.Spec = filterSpec{}
	}
	meta := child(m, "metadata")
	o := &translate.Object{EnvoyFilter: readTable(&d.Spec)}
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	o.Key = translate.Key{Kind: translate.KindEnvoyFilter, Namespace: namespace, Name: name}
	annotations := texts(meta, "annotations")
	o.Labels = pick(texts(meta, "labels"), ownLabels(annotations))
	o.Annotations = pick(annotations, ownAnnotations(translate.KindEnvoyFilter))
	again, err := newFilterDocument(o)
	if err != nil || !sameJSON(again.Spec, child(m, "spec")) {
		o.EnvoyFilter.Unknown = digest(child(m, "spec"))
	}
	return o, nil
}

// texts returns the strings of the map at key.
func texts(m map[string]any, key string) map[string]string {
	c := child(m, key)
	t := make(map[string]string, len(c))
	for k, v := range c {
		if text, ok := v.(string); ok {
			t[k] = text
		}
	}
	return t
}

func sameJSON(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	if err != nil {
		return false
	}
	var sorted any // Fields of structs are in another order than those of maps.
	if err := json.Unmarshal(x, &sorted); err != nil {
		return false
	}
	x, err = json.Marshal(sorted)
	return err == nil && bytes.Equal(x, y)
}

// digest is a short name of anything.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// readTable reads as much of a table as can be read.
func readTable(spec *filterSpec) *translate.EnvoyFilter {
	f := &translate.EnvoyFilter{Mesh: spec.Priority >= 0}
	if len(spec.ConfigPatches) != 1 {
		return f
	}
	p := &spec.ConfigPatches[0]
	f.Port = p.Match.Listener.PortNumber
	var config proxyConfig
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(p.Patch.Value.TypedConfig, &config); err != nil {
		return f
	}
	tables := config.MultipleRouteConfig.RouteConfig
	last := len(tables) > 0 && tables[len(tables)-1].Interface == "*"
	if last {
		tables = tables[:len(tables)-1]
	}
	switch replaces := p.Patch.Operation == "REPLACE"; {
	case replaces && !last:
		f.Part = translate.TableBase
	case !replaces && last:
		f.Part = translate.TableRest
	case !replaces:
		f.Part = translate.TableRoutes
	}
	for i := range tables {
		f.Routes = append(f.Routes, tables[i].read())
	}
	return f
}

func (t *routeTable) read() translate.DubboRoute {
	r := translate.DubboRoute{Interface: t.Interface, Group: t.Group, Version: t.Version}
	for i := range t.Routes {
		m := translate.DubboMatch{Method: t.Routes[i].Match.Method.Name.read()}
		for _, h := range t.Routes[i].Match.Headers {
			if h.Name == attachmentTag && h.StringMatch.Exact != nil {
				m.Tag = *h.StringMatch.Exact
			}
		}
		m.To = t.Routes[i].Route.read()
		r.Matches = append(r.Matches, m)
	}
	return r
}

func (s *stringMatch) read() translate.MethodMatch {
	var m translate.MethodMatch
	switch {
	case s.Exact != nil:
		m.Exact = *s.Exact
	case s.Prefix != nil:
		m.Prefix = *s.Prefix
	case s.Suffix != nil:
		m.Suffix = *s.Suffix
	case s.SafeRegex != nil && s.SafeRegex.Regex != anyText:
		m.Regex = s.SafeRegex.Regex
	}
	return m
}

func (a *routeAction) read() []translate.DubboTarget {
	if a.WeightedClusters == nil {
		return []translate.DubboTarget{readTarget(a.Cluster, 0)}
	}
	var to []translate.DubboTarget
	for _, c := range a.WeightedClusters.Clusters {
		to = append(to, readTarget(c.Name, c.Weight))
	}
	return to
}

// readTarget takes the name of a cluster apart. What is no name of istiod's becomes a host, and so is another cluster when it is written.
func readTarget(cluster string, weight uint32) translate.DubboTarget {
	parts := strings.SplitN(cluster, "|", 4)
	if len(parts) == 4 && parts[0] == "outbound" {
		if port, err := strconv.ParseUint(parts[1], 10, 32); err == nil {
			return translate.DubboTarget{Host: parts[3], Port: uint32(port), Subset: parts[2], Weight: weight}
		}
	}
	return translate.DubboTarget{Host: cluster, Weight: weight}
}
