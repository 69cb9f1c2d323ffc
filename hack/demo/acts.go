package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/zktest"
)

// The services of the demo.
const (
	orders = "com.acme.OrderService"
	carts  = "com.acme.CartService"
	stock  = "com.acme.StockService"
)

// outageLength is how long the registry does not answer. It is longer than the session that the bridge has with it, so that there is
// no way back to what the bridge knew of it.
const outageLength = 6 * time.Second

// demo is what the acts share. They run one after the other.
type demo struct {
	ctx      context.Context //nolint:containedctx // The demo is one call that was cut into acts.
	registry *zktest.Server
	bridge   *bridge
	out      io.Writer
	// example is a file to look at afterwards.
	example string
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// event tells something that took a time.
func (d *demo) event(took time.Duration, format string, args ...any) {
	d.say("   %5.2f s  %s", took.Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) arrive() error {
	d.say("\n1. Dubbo providers register: three services")
	if err := d.register(orders, "10.1.0.11", "10.1.0.12", "10.1.0.13"); err != nil {
		return err
	}
	if err := d.register(carts, "10.1.0.21", "10.1.0.22"); err != nil {
		return err
	}
	if err := d.register(stock, "10.1.0.31", "10.1.0.32", "10.1.0.33"); err != nil {
		return err
	}
	took, err := d.published(map[string][]string{
		orders: {"10.1.0.11", "10.1.0.12", "10.1.0.13"},
		carts:  {"10.1.0.21", "10.1.0.22"},
		stock:  {"10.1.0.31", "10.1.0.32", "10.1.0.33"},
	})
	if err != nil {
		return err
	}
	d.event(took, "8 endpoints in 3 files")
	entries, err := readEntries()
	if err != nil {
		return err
	}
	d.example = filepath.Join(folder, entries[host(orders)].file)
	d.say("            znode  /dubbo/%s/providers/%.44s…", orders, url.QueryEscape(provider(orders, "10.1.0.11")))
	d.say("            file   %s", d.example)
	return nil
}

func (d *demo) leave() error {
	d.say("\n2. One provider leaves the registry")
	if err := d.unregister(orders, "10.1.0.12"); err != nil {
		return err
	}
	took, err := d.published(map[string][]string{orders: {"10.1.0.11", "10.1.0.13"}})
	if err != nil {
		return err
	}
	d.event(took, "10.1.0.12 is gone from %s: a real removal is not held back", orders)
	return nil
}

func (d *demo) redeploy() error {
	d.say("\n3. A service is redeployed: new instances come, then the old ones leave")
	if err := d.register(stock, "10.1.0.34", "10.1.0.35", "10.1.0.36"); err != nil {
		return err
	}
	took, err := d.published(map[string][]string{
		stock: {"10.1.0.31", "10.1.0.32", "10.1.0.33", "10.1.0.34", "10.1.0.35", "10.1.0.36"},
	})
	if err != nil {
		return err
	}
	d.event(took, "the new ones are published")
	if err := d.unregister(stock, "10.1.0.31", "10.1.0.32", "10.1.0.33"); err != nil {
		return err
	}
	took, err = d.published(map[string][]string{stock: {"10.1.0.34", "10.1.0.35", "10.1.0.36"}})
	if err != nil {
		return err
	}
	d.event(took, "the old ones are gone; nothing was held, because as many came as left")
	return nil
}

func (d *demo) outage() error {
	d.say("\n4. The registry does not answer for %v", outageLength)
	before, err := readEntries()
	if err != nil {
		return err
	}
	d.registry.Stop()
	start := time.Now()
	for time.Since(start) < outageLength {
		now, err := readEntries()
		if err != nil {
			return err
		}
		if !now.equal(before) {
			return fmt.Errorf("the output changed during the outage: %v", now)
		}
		if err := pause(d.ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	d.event(time.Since(start), "no file was touched: all %d endpoints are still published", before.endpoints())
	return nil
}

func (d *demo) wipe() error {
	d.say("\n5. It comes back, but empty: it has lost its disk, and no provider has registered again yet")
	d.registry.Wipe()
	if err := d.registry.Start(context.WithoutCancel(d.ctx)); err != nil {
		return err
	}
	var held *hold
	took, err := await(d.ctx, "a hold", func() (bool, error) {
		var err error
		held, err = d.bridge.emptySource(d.ctx)
		return held != nil, err
	})
	if err != nil {
		return err
	}
	entries, err := readEntries()
	if err != nil {
		return err
	}
	d.event(took, "the registry says that there is no service at all. Hold %s (%s) keeps", held.ID, held.Guard)
	d.say("            %d of %d endpoints, for %v at most, or until the registry recovers", held.Endpoints, entries.endpoints(), holdFor)
	return nil
}

func (d *demo) comeBack() error {
	d.say("\n6. The providers register again, but for those of %s: they are really gone", carts)
	if err := d.register(orders, "10.1.0.11", "10.1.0.13"); err != nil {
		return err
	}
	if err := d.register(stock, "10.1.0.34", "10.1.0.35", "10.1.0.36"); err != nil {
		return err
	}
	start := time.Now()
	took, err := await(d.ctx, "the hold ends", func() (bool, error) {
		held, err := d.bridge.emptySource(d.ctx)
		return held == nil, err
	})
	if err != nil {
		return err
	}
	d.event(took, "the hold has ended by itself; nothing was ever removed from the two services that are back")
	if _, err := d.published(map[string][]string{carts: {}}); err != nil {
		return err
	}
	d.event(time.Since(start), "the last endpoints of %s go: emptyGrace is over", carts)
	if _, err := await(d.ctx, "the file is deleted", func() (bool, error) {
		entries, err := readEntries()
		_, exists := entries[host(carts)]
		return !exists, err
	}); err != nil {
		return err
	}
	d.event(time.Since(start), "its file goes: deleteAfter is over")
	_, err = d.published(map[string][]string{orders: {"10.1.0.11", "10.1.0.13"}, stock: {"10.1.0.34", "10.1.0.35", "10.1.0.36"}})
	return err
}

func (d *demo) stop() error {
	d.say("\n7. The bridge is stopped")
	start := time.Now()
	if err := d.bridge.stop(d.ctx); err != nil {
		return err
	}
	entries, err := readEntries()
	if err != nil {
		return err
	}
	d.event(time.Since(start), "it is gone and %d endpoints stay: a stop, a restart or an upgrade changes nothing", entries.endpoints())
	return nil
}

// published waits until the files of the named services hold exactly these addresses.
func (d *demo) published(want map[string][]string) (time.Duration, error) {
	var last entries
	took, err := await(d.ctx, "the files change", func() (bool, error) {
		var err error
		last, err = readEntries()
		if err != nil {
			return false, err
		}
		for service, addresses := range want {
			if entry, ok := last[host(service)]; !ok || !slices.Equal(entry.addresses, addresses) {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("%w: want %v, the files say %v", err, want, last)
	}
	return took, nil
}

func (d *demo) register(service string, addresses ...string) error {
	for _, address := range addresses {
		if err := d.registry.Create(node(service, address), nil); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) unregister(service string, addresses ...string) error {
	for _, address := range addresses {
		if err := d.registry.Delete(node(service, address)); err != nil {
			return err
		}
	}
	return nil
}

// provider is the URL that a Dubbo provider registers.
func provider(service, address string) string {
	return fmt.Sprintf("dubbo://%s:20880/%s?application=demo&dubbo=2.0.2&interface=%s&methods=get&side=provider&timestamp=1700000000000",
		address, service, service)
}

func node(service, address string) string {
	return "/dubbo/" + service + "/providers/" + url.QueryEscape(provider(service, address))
}

// host is the Istio name of a service of the demo.
func host(service string) string { return strings.ToLower(service) }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
