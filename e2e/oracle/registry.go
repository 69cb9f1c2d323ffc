package oracle

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Registered asks a ZooKeeper for all Dubbo providers under root and returns what has to be published for them. It shares no code
// with the bridge: the client is go-zookeeper, the parser net/url, and the host names are built anew from their definition. It
// understands well-formed providers only; whatever net/url refuses is not expected in the output.
func Registered(conn *zk.Conn, root string) (Endpoints, error) {
	interfaces, _, err := conn.Children(root)
	if errors.Is(err, zk.ErrNoNode) {
		return Endpoints{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", root, err)
	}
	all := Endpoints{}
	for _, name := range interfaces {
		if name == "config" || name == "mapping" || name == "metadata" {
			continue
		}
		providers, _, err := conn.Children(root + "/" + name + "/providers")
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list providers of %s: %w", name, err)
		}
		addProviders(all, providers)
	}
	return all, nil
}

// addProviders adds the providers of one interface, all groups and versions of it.
func addProviders(all Endpoints, providers []string) {
	services := map[string]Endpoints{}
	for _, node := range providers {
		e, weight, ok := parseProvider(node)
		if !ok {
			continue
		}
		if services[e.Host] == nil {
			services[e.Host] = Endpoints{}
		}
		services[e.Host][e] = weight
	}
	for _, endpoints := range services {
		equal := allEqual(endpoints)
		for e, weight := range endpoints {
			if equal {
				weight = 0
			}
			all[e] = weight
		}
	}
}

// parseProvider reads one provider node. Weights are a tenth of Dubbo's (where 100 is usual), within Istio's 1 to 10,000.
func parseProvider(node string) (e Endpoint, weight uint32, ok bool) {
	text, err := url.QueryUnescape(node)
	if err != nil {
		return Endpoint{}, 0, false
	}
	u, err := url.Parse(text)
	if err != nil {
		return Endpoint{}, 0, false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 || u.Hostname() == "" {
		return Endpoint{}, 0, false
	}
	query := u.Query()
	dubbo := 100.0
	if text := query.Get("weight"); text != "" {
		if dubbo, err = strconv.ParseFloat(text, 64); err != nil {
			return Endpoint{}, 0, false
		}
	}
	if dubbo <= 0 {
		return Endpoint{}, 0, false
	}
	e = Endpoint{
		Host:    Host(query.Get("interface"), query.Get("group"), query.Get("version")),
		Address: u.Hostname(),
		Port:    uint32(port),
	}
	return e, uint32(min(max(math.Round(dubbo/100*10), 1), 10_000)), true
}

func allEqual(endpoints Endpoints) bool {
	var first uint32
	for _, weight := range endpoints {
		if first != 0 && weight != first {
			return false
		}
		first = weight
	}
	return true
}

// Host returns the host of a Dubbo service whose words are plain: [v-<version>.][g-<group>.]<interface>, in lower case, with .dubbo
// behind an interface without a dot.
func Host(iface, group, version string) string {
	var b strings.Builder
	if version != "" {
		b.WriteString("v-" + version + ".")
	}
	if group != "" {
		b.WriteString("g-" + group + ".")
	}
	b.WriteString(iface)
	if !strings.Contains(iface, ".") {
		b.WriteString(".dubbo")
	}
	return strings.ToLower(b.String())
}
