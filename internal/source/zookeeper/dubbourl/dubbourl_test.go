package dubbourl_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubbourl"
)

// dubbo336 is a provider node name as written by Apache Dubbo 3.3.6.
const dubbo336 = "dubbo%3A%2F%2F127.0.0.1%3A20980%2Fdemo.GreetingService%3Fapplication%3Dgreeting-provider%26deprecated%3Dfalse" +
	"%26dubbo%3D2.0.2%26dynamic%3Dtrue%26generic%3Dfalse%26interface%3Ddemo.GreetingService%26methods%3Decho%2Cfail%2Cgreet" +
	"%26prefer.serialization%3Dhessian2%2Cfastjson2%26release%3D3.3.6%26revision%3Dlab%26service-name-mapping%3Dtrue" +
	"%26side%3Dprovider%26timestamp%3D1795415497326"

func TestParse(t *testing.T) {
	t.Parallel()
	type params = map[string]string
	tests := []struct {
		name, node string
		want       dubbourl.URL
	}{
		{"written by Apache Dubbo 3.3.6", dubbo336, dubbourl.URL{
			Scheme: "dubbo", Host: "127.0.0.1", Port: 20980, Path: "demo.GreetingService",
			Params: params{
				"application": "greeting-provider", "deprecated": "false", "dubbo": "2.0.2", "dynamic": "true", "generic": "false",
				"interface": "demo.GreetingService", "methods": "echo,fail,greet", "prefer.serialization": "hessian2,fastjson2",
				"release": "3.3.6", "revision": "lab", "service-name-mapping": "true", "side": "provider", "timestamp": "1795415497326",
			},
		}},
		{"semicolons separate too", url.QueryEscape("dubbo://h:1/p?a=1;b=2&c=3;"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"a": "1", "b": "2", "c": "3"},
		}},
		{"an encoded plus stays a plus", "dubbo%3A%2F%2Fh%3A1%2Fp%3Fa%3D1%2B2", dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"a": "1+2"},
		}},
		{"a plain plus is a space", "dubbo%3A%2F%2Fh%3A1%2Fp%3Fa=1+2", dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"a": "1 2"},
		}},
		{"values are not decoded twice", url.QueryEscape("dubbo://h:1/p?a=1%2B2&b=x%26y"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"a": "1%2B2", "b": "x%26y"},
		}},
		{"the first equals sign splits", url.QueryEscape("dubbo://h:1/p?a=b=c&d=&e&=f"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"a": "b=c", "d": "", "e": "e"},
		}},
		{"default keys set the plain ones", url.QueryEscape("dubbo://h:1/p?default.group=g&default.version=1&version=2"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p",
			Params: params{"default.group": "g", "group": "g", "default.version": "1", "version": "2"},
		}},
		{"one default at a time", url.QueryEscape("dubbo://h:1/p?default.default.x=1&default.=2"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"default.default.x": "1", "default.x": "1", "default.": "2"},
		}},
		{"raw IPv6", url.QueryEscape("dubbo://2001:db8::1:20880/p"), dubbourl.URL{
			Scheme: "dubbo", Host: "2001:db8::1", Port: 20880, Path: "p", Params: params{},
		}},
		{"IPv6 in brackets", url.QueryEscape("dubbo://[2001:db8::1]:20880/p"), dubbourl.URL{
			Scheme: "dubbo", Host: "2001:db8::1", Port: 20880, Path: "p", Params: params{},
		}},
		{"IPv6 in brackets without port", url.QueryEscape("dubbo://[2001:db8::1]/p"), dubbourl.URL{
			Scheme: "dubbo", Host: "2001:db8::1", Path: "p", Params: params{},
		}},
		{"IPv6 with a scope", url.QueryEscape("dubbo://fe80::894:aeec:f37d:23e1%en0/p"), dubbourl.URL{
			Scheme: "dubbo", Host: "fe80::894:aeec:f37d:23e1%en0", Path: "p", Params: params{},
		}},
		{"IPv6 with a scope and a port", url.QueryEscape("dubbo://fe80::1%en0:20880/p"), dubbourl.URL{
			Scheme: "dubbo", Host: "fe80::1%en0", Port: 20880, Path: "p", Params: params{},
		}},
		{"no credentials are kept", url.QueryEscape("dubbo://user:s3cret@h:1/p#x?a=1"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 1, Path: "p", Params: params{"a": "1"},
		}},
		{"ports are not judged", url.QueryEscape("dubbo://h:70000"), dubbourl.URL{
			Scheme: "dubbo", Host: "h", Port: 70000, Params: params{},
		}},
		{"an override without port", "override://0.0.0.0/p?weight=5", dubbourl.URL{
			Scheme: "override", Host: "0.0.0.0", Path: "p", Params: params{"weight": "5"},
		}},
		{"a trailing colon is no port", "dubbo://h:/p", dubbourl.URL{Scheme: "dubbo", Host: "h", Path: "p", Params: params{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := dubbourl.Parse(tt.node)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, node string
		want       error
	}{
		{"nothing", "", dubbourl.ErrScheme},
		{"no scheme", "10.0.0.1:20880", dubbourl.ErrScheme},
		{"an empty scheme", "://10.0.0.1:20880", dubbourl.ErrScheme},
		{"encoded twice", url.QueryEscape(dubbo336), dubbourl.ErrDoubleEncoded},
		{"cut in an escape", dubbo336[:10] + "%2", dubbourl.ErrEscape},
		{"cut behind the percent sign", "dubbo%", dubbourl.ErrEscape},
		{"not hexadecimal", "dubbo%zz", dubbourl.ErrEscape},
		{"no host", "dubbo%3A%2F%2F", dubbourl.ErrHost},
		{"a port only", "dubbo://:20880/p", dubbourl.ErrHost},
		{"a port that is a word", "dubbo://h:abc/p", dubbourl.ErrPort},
		{"a negative port", "dubbo://h:-1/p", dubbourl.ErrPort},
		{"a port over 31 bits", "dubbo://h:4294967296/p", dubbourl.ErrPort},
		{"a megabyte and more", strings.Repeat("a", dubbourl.MaxLength+1), dubbourl.ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := dubbourl.Parse(tt.node); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzParse holds any text against what the parser promises: no panic, one typed error or a URL with a scheme, a host and the
// same URL every time.
func FuzzParse(f *testing.F) {
	f.Add(dubbo336)
	f.Add("dubbo://u:p@[fe80::1%25en0]:70000/x?default.a=1;b=+%2B&c")
	f.Fuzz(func(t *testing.T, node string) {
		u, err := dubbourl.Parse(node)
		if err != nil {
			known := []error{
				dubbourl.ErrTooLong, dubbourl.ErrEscape, dubbourl.ErrDoubleEncoded, dubbourl.ErrScheme, dubbourl.ErrHost, dubbourl.ErrPort,
			}
			for _, k := range known {
				if errors.Is(err, k) {
					return
				}
			}
			t.Fatalf("untyped error %v", err)
		}
		if u.Scheme == "" || u.Host == "" || u.Port < 0 {
			t.Fatalf("incomplete URL %+v", u)
		}
		again, err := dubbourl.Parse(node)
		if err != nil || !cmp.Equal(u, again) {
			t.Fatalf("%+v, then %+v (%v)", u, again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dubbourl.Parse(dubbo336); err != nil {
			b.Fatal(err)
		}
	}
}
