// Package providers plays Dubbo providers: it registers them in a real ZooKeeper with a client that is not the bridge's, and enters
// what it does into the oracle's journal.
package providers

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

// Provider is one instance of one Dubbo interface.
type Provider struct {
	Interface, Group, Version string
	// Protocol is the scheme of the URL, "dubbo" when empty.
	Protocol string
	Address  string
	Port     uint32
	// Weight is Dubbo's; 0 leaves it out, which means 100.
	Weight int
}

// Endpoint returns what has to be published for the provider.
func (p Provider) Endpoint() oracle.Endpoint {
	return oracle.Endpoint{Host: oracle.Host(p.Interface, p.Group, p.Version), Address: p.Address, Port: p.Port}
}

// URL returns what a provider of Apache Dubbo registers. The start tells one life of the provider from the next, as timestamp and
// process id do.
func (p Provider) URL(start int64) string {
	var b strings.Builder
	protocol := p.Protocol
	if protocol == "" {
		protocol = "dubbo"
	}
	fmt.Fprintf(&b, "%s://%s:%d/%s?anyhost=true&application=%s-app&deprecated=false&dubbo=2.0.2&dynamic=true&generic=false",
		protocol, p.Address, p.Port, p.Interface, strings.ToLower(p.Interface[strings.LastIndexByte(p.Interface, '.')+1:]))
	if p.Group != "" {
		b.WriteString("&group=" + p.Group)
	}
	fmt.Fprintf(&b, "&interface=%s&methods=create,find,findAll,cancel&pid=%d&release=3.3.6&service-name-mapping=true&side=provider&timestamp=%d",
		p.Interface, start%32768, start)
	if p.Version != "" {
		b.WriteString("&version=" + p.Version)
	}
	if p.Weight != 0 {
		b.WriteString("&weight=" + strconv.Itoa(p.Weight))
	}
	return b.String()
}

// node returns the name of the provider's node.
func (p Provider) node(start int64) string { return url.QueryEscape(p.URL(start)) }

// Population is a number of interfaces with a number of providers each, at addresses that no two of them share.
type Population struct {
	// Block, from 0 to 9, tells apart populations that are judged separately.
	Block                 int
	Interfaces, Instances int
}

// All returns the providers of the population.
func (p Population) All() []Provider {
	all := make([]Provider, 0, p.Interfaces*p.Instances)
	for i := range p.Interfaces {
		for k := range p.Instances {
			all = append(all, p.Instance(i, k))
		}
	}
	return all
}

// Instance returns the k-th provider of the i-th interface; k may be beyond those of All. Of ten interfaces one has a group, one has a
// version, and one has providers of different weight.
func (p Population) Instance(i, k int) Provider {
	perInterface := max(64, 2*p.Instances)
	n := i*perInterface + k%perInterface
	one := Provider{
		Interface: fmt.Sprintf("com.example.block%d.Service%04d", p.Block, i),
		Address:   fmt.Sprintf("10.%d.%d.%d", 10*p.Block+n>>16, n>>8&0xff, n&0xff),
		Port:      20880 + uint32(k/perInterface), //nolint:gosec // small numbers
	}
	switch i % 10 {
	case 7:
		one.Group = "blue"
	case 8:
		one.Version = "1.0.0"
	case 9:
		one.Weight = 50 + 50*(k%3)
	}
	return one
}
