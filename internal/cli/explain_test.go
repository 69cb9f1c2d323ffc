package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/cli"
	"github.com/registry-bridge/registry-bridge/internal/explain"
)

// TestExplain: a bridge that runs and one that reads for itself say the same.
func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.register(t, "com.acme.Cart", "10.0.0.1:20880")
	p := w.start(t)
	w.expect(t, "com.acme.cart 10.0.0.1")
	_, page := p.get(t, "/debug/explain?q=com.acme.cart")
	if !strings.Contains(page, `"outcome": "published"`) {
		t.Fatalf("the page is\n%s", page)
	}
	address := "http://" + p.address(t)
	for name, how := range map[string][]string{
		"asked": {"--address", address}, "read": {"--config", w.config, "--output-dir", w.out},
	} {
		t.Run(name, func(t *testing.T) {
			for query, want := range map[string]string{
				"com.acme.cart":  "com.acme.cart (namespace dubbo): published: 1 endpoint",
				"com.acme.Cart":  "record    com.acme.Cart, 1 instance, in source",
				"10.0.0.1:20880": "endpoint  10.0.0.1:20880  published",
			} {
				if got := run(t, append([]string{"explain", query}, how...)...); got.code != cli.ExitOK || !strings.Contains(got.out, want) {
					t.Errorf("%s: got %+v, want %q", query, got, want)
				}
			}
			got := run(t, append([]string{"explain", "10.9.9.9", "-o", "json"}, how...)...)
			var answer explain.Answer
			if err := json.Unmarshal([]byte(got.out), &answer); err != nil || answer.Found || got.code != cli.ExitNotFound || got.err != "" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for args, want := range map[string]string{
		"":                                    "say what to explain",
		"a b":                                 "say what to explain",
		"a --address http://127.0.0.1:1":      "connection refused",
		"a -o yaml":                           "yaml",
		"a --config nowhere":                  "does not exist",
		"a --address " + address + "/nowhere": "404",
	} {
		if got := run(t, append([]string{"explain"}, strings.Fields(args)...)...); got.code != cli.ExitError || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v, want %q", args, got, want)
		}
	}
}
