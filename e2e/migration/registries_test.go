package migration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/hashicorp/consul/api"

	"github.com/registry-bridge/registry-bridge/e2e/lab"
)

// meshHost is the host of the n-th service where both registries have names of one word.
func meshHost(n int) string { return fmt.Sprintf("shop-%d.mesh", n) }

// zooKeeper is a ZooKeeper, written as one layout does.
type zooKeeper struct {
	server *lab.ZooKeeper
	conn   *zk.Conn
	spring bool
	title  string
}

func newZooKeeper(t *testing.T, title string, spring bool) *zooKeeper {
	t.Helper()
	r := &zooKeeper{server: lab.StartZooKeeper(t, lab.ZooKeeperOptions{}), title: title, spring: spring}
	r.connect(t)
	return r
}

// connect has a new client change the registry from now on.
func (r *zooKeeper) connect(t *testing.T) {
	t.Helper()
	r.conn = lab.ConnectZooKeeper(t, lab.ZooKeeperClient{Servers: []string{r.server.Addr}})
}

func (r *zooKeeper) name() string { return r.title }

func (r *zooKeeper) spec() string {
	layout, hosts := "DubboInterface", "{}"
	if r.spring {
		layout, hosts = "SpringCloud", "{suffix: mesh}"
	}
	return fmt.Sprintf(`{source: {zookeeper: {servers: [%q], layouts: [{type: %s}]}}, hosts: %s, endpoints: {denyCIDRs: []}}`, r.server.Addr, layout, hosts)
}

func (r *zooKeeper) original(n int) string {
	if r.spring {
		return fmt.Sprintf("shop-%d", n)
	}
	return dubboInterface(n)
}

// node returns the node of an instance, and its data.
func (r *zooKeeper) node(service string, p place) (string, []byte) {
	if !r.spring {
		return "/dubbo/" + service + "/providers/" + url.QueryEscape(
			fmt.Sprintf("dubbo://%s:%d/%s?interface=%[3]s&side=provider", p.address, p.port, service)), nil
	}
	id := p.address + "-" + strconv.Itoa(p.port)
	data, _ := json.Marshal(map[string]any{ // Nothing here can fail.
		"name": service, "id": id, "address": p.address, "port": p.port, "serviceType": "DYNAMIC",
		"payload": map[string]any{
			"@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance", "metadata": map[string]string{"instance_status": "UP"},
		},
	})
	return "/services/" + service + "/" + id, data
}

func (r *zooKeeper) register(service string, p place) error {
	path, data := r.node(service, p)
	for at := 1; at < len(path); at++ {
		if path[at] != '/' {
			continue
		}
		if _, err := r.conn.Create(path[:at], nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	_, err := r.conn.Create(path, data, 0, zk.WorldACL(zk.PermAll))
	return err
}

func (r *zooKeeper) deregister(service string, p place) error {
	path, _ := r.node(service, p)
	return r.conn.Delete(path, -1)
}

func dubboInterface(n int) string { return fmt.Sprintf("com.acme.Shop%d", n) }

func dubboHost(n int) string { return strings.ToLower(dubboInterface(n)) }

// consul is a Consul, with a node for each instance.
type consul struct {
	server *lab.Consul
	client *api.Client
}

func newConsul(t *testing.T) *consul {
	t.Helper()
	server := lab.StartConsul(t, lab.ConsulOptions{})
	return &consul{server: server, client: server.Servers[0].Client}
}

func (r *consul) name() string { return "consul" }

func (r *consul) spec() string {
	return fmt.Sprintf(`{source: {consul: {address: "http://%s"}}, hosts: {suffix: mesh}, rules: [{name: http, match: {services: ["*"]}, protocol: HTTP}]}`,
		r.server.Servers[0].Addr)
}

func (r *consul) original(n int) string { return fmt.Sprintf("shop-%d", n) }

func (r *consul) register(service string, p place) error {
	_, err := r.client.Catalog().Register(&api.CatalogRegistration{
		Node: "node-" + p.address, Address: p.address,
		Service: &api.AgentService{ID: service, Service: service, Address: p.address, Port: p.port},
	}, nil)
	return err
}

func (r *consul) deregister(service string, p place) error {
	_, err := r.client.Catalog().Deregister(&api.CatalogDeregistration{Node: "node-" + p.address, ServiceID: service}, nil)
	return err
}
