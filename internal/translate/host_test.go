package translate

import (
	"strings"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
)

func TestEncodeLabel(t *testing.T) {
	a54, a63 := strings.Repeat("a", 54), strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"greeter":             "greeter",
		"Greeter_V2":          "greeter-v2",
		"az09":                "az09",
		"AZ":                  "az",
		a63:                   a63,
		a63 + "a":             a54 + "-" + hash(a63+"a", 8),
		"":                    "x-" + hash("", 8),
		"-":                   "x-" + hash("-", 8),
		"-a":                  "a-" + hash("-a", 8),
		"a-":                  "a-" + hash("a-", 8),
		"a$b":                 "a-b-" + hash("a$b", 8),
		"a/":                  "a-" + hash("a/", 8),
		"a:b":                 "a-b-" + hash("a:b", 8),
		"a@b":                 "a-b-" + hash("a@b", 8),
		"a[b":                 "a-b-" + hash("a[b", 8),
		"a`b":                 "a-b-" + hash("a`b", 8),
		"a{b":                 "a-b-" + hash("a{b", 8),
		"ä":                   "x-" + hash("ä", 8),
		"\xff":                "x-" + hash("\xff", 8),
		a54[1:] + "_bc" + a54: a54[1:] + "-" + hash(a54[1:]+"_bc"+a54, 8), // Cut behind a dash.
	} {
		got := encodeLabel(in)
		if got != want || !dnsLabel.MatchString(got) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestEncodeHostLength(t *testing.T) {
	labels := strings.TrimSuffix(strings.Repeat("abcdefg.", 40), ".")
	for _, c := range []struct{ name, suffix string }{
		{labels[:253-3], "xy"},
		{labels[:253-2], ""},
		{labels[:255], ""},
		{labels[:255], "zookeeper"},
	} {
		got := encodeHost(c.name, c.suffix)
		if illegalHost(got) != "" || (c.suffix != "" && !strings.HasSuffix(got, "."+c.suffix)) {
			t.Errorf("%s: %s", got, illegalHost(got))
		}
		if whole := len(c.name)+len(c.suffix) < 253; whole == strings.Contains(got, hash(c.name, 8)) {
			t.Errorf("%q + %q: %s", c.name, c.suffix, got)
		}
	}
	// 253 characters fit exactly, one more does not.
	exact := strings.Repeat("abcdefg.", 31) + "abcde"
	if got := encodeHost(exact, ""); got != exact {
		t.Errorf("253 characters become %s", got)
	}
	if got, want := encodeHost(exact+"f", ""), strings.Repeat("abcdefg.", 30)+hashed("x", exact+"f"); got != want {
		t.Errorf("254 characters become %s", got)
	}
	// What is left for labels beside the hash is used up.
	tight := strings.Repeat("abcdefg.", 30) + "ab." + strings.Repeat("x", 20)
	if got, want := encodeHost(tight, ""), strings.Repeat("abcdefg.", 30)+"ab."+hashed("x", tight); len(want) != 253 || got != want {
		t.Errorf("%s (%d), want %s (%d)", got, len(got), want, len(want))
	}
}

func TestIllegalHost(t *testing.T) {
	for host, legal := range map[string]bool{
		"a.b": true, "a": false, "": false, "a..b": false, "a.b.": false, ".a.b": false, "a.1": false, "1.a": true, "a.1b": true,
		"A.b": false, "a_.b": false, "-a.b": false, "a.b-": false, "a." + strings.Repeat("b", 63): true, "a." + strings.Repeat("b", 64): false,
		strings.Repeat("a.", 126) + "b": true, strings.Repeat("a.", 126) + "bc": false,
	} {
		if detail := illegalHost(host); (detail == "") != legal {
			t.Errorf("%q: %q", host, detail)
		}
	}
}

func TestRuleHostAtTheLimit(t *testing.T) {
	reg := &Registry{Type: "zookeeper"}
	svc := &model.Service{Ref: model.Ref{Name: "a"}}
	if host, f := reg.hostOf(svc, &Source{}, strings.Repeat("a.", 126)+"bc"); f == nil || f.reason != reason.HostInvalid {
		t.Errorf("%s: %v", host, f)
	}
}

func TestSanitise(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		in, want string
		changed  bool
	}{
		{"1.0.0", "1.0.0", false},
		{"", "", false},
		{"A-b_c.9", "A-b_c.9", false},
		{long, long, false},
		{long + "a", long[:54] + "-" + hash(long+"a", 8), true},
		{"a b", "a-b", true},
		{"azAZ09", "azAZ09", false},
		{"a@b[c`d{e/f:g", "a-b-c-d-e-f-g", true},
		{"-a.", "a", true},
		{"  ", "x-" + hash("  ", 8), true},
		{"ä", "x-" + hash("ä", 8), true},
		{"a" + strings.Repeat(".", 60) + "bcd", "a-" + hash("a"+strings.Repeat(".", 60)+"bcd", 8), true},
	} {
		got, changed := sanitise(c.in)
		if got != c.want || changed != c.changed || got != "" && !labelValue.MatchString(got) {
			t.Errorf("%q: %q, %v; want %q, %v", c.in, got, changed, c.want, c.changed)
		}
	}
}

func TestSanitiseLocality(t *testing.T) {
	long := strings.Repeat("r", 2046)
	for _, c := range []struct{ region, zone, subzone, want string }{
		{"", "z", "s", ""},
		{"r", "", "", "r"},
		{"r", "z", "s", "r/z/s"},
		{"r", "", "s", "r//s"},
		{"/", "z", "", ""},
		{"a/b", "c\xff", "", "a-b/c"},
		{long, "z", "", long + "/z"},
		{long, "zz", "", ""},
	} {
		if got := sanitiseLocality(c.region, c.zone, c.subzone); got != c.want {
			t.Errorf("%.9q %q %q: %.20q", c.region, c.zone, c.subzone, got)
		}
	}
}

func TestCopiedKeys(t *testing.T) {
	prefix := strings.Repeat("a", 253)
	got := copiedKeys([]string{
		"z", "a", "a", "token", "TOKEN", "istio-locality", "security.istio.io/x", "topology.istio.io/x", "registry-bridge.io/x", "a b", "",
		"/a", "a/", "A/b", prefix + "/a", prefix + "a/a", strings.Repeat("k", 63), strings.Repeat("k", 64), "x.istio.io/y",
	})
	want := []string{"a", prefix + "/a", strings.Repeat("k", 63), "x.istio.io/y", "z"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q", got)
	}
}
