package providers_test

import (
	"net/netip"
	"net/url"
	"testing"

	"github.com/registry-bridge/registry-bridge/e2e/faults/providers"
	"github.com/registry-bridge/registry-bridge/e2e/oracle"
)

func TestPopulation(t *testing.T) {
	endpoints := map[oracle.Endpoint]bool{}
	addresses := map[string]bool{}
	for block := range 10 {
		for _, p := range (providers.Population{Block: block, Interfaces: 500, Instances: 20}).All() {
			endpoints[p.Endpoint()] = true
			addresses[p.Address] = true
			if _, err := netip.ParseAddr(p.Address); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(endpoints) != 100_000 || len(addresses) != 100_000 {
		t.Errorf("%d endpoints at %d addresses, want 100000 of both", len(endpoints), len(addresses))
	}
}

func TestProviderURL(t *testing.T) {
	p := providers.Provider{
		Interface: "com.example.Orders", Group: "blue", Version: "1.0.0", Address: "10.0.0.1", Port: 20880, Weight: 50,
	}
	u, err := url.Parse(p.URL(1700000000000))
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "dubbo" || u.Host != "10.0.0.1:20880" || u.Path != "/com.example.Orders" {
		t.Errorf("URL is %s", u)
	}
	for key, want := range map[string]string{
		"interface": "com.example.Orders", "group": "blue", "version": "1.0.0", "weight": "50", "timestamp": "1700000000000",
		"application": "orders-app", "side": "provider",
	} {
		if got := u.Query().Get(key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	if got, want := p.Endpoint().String(), "v-1.0.0.g-blue.com.example.orders 10.0.0.1:20880"; got != want {
		t.Errorf("endpoint %s, want %s", got, want)
	}
}
