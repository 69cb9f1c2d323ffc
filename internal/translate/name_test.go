package translate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEncodeName(t *testing.T) {
	long := strings.Repeat("a", 1025)
	for _, c := range []struct{ name, in, want string }{
		{"plain", "com.acme.Greeter", "com.acme.Greeter"},
		{"UTF-8", "grüße/服务", "grüße/服务"},
		{"1 KB", long[:1024], long[:1024]},
		{"over 1 KB", long, `"` + strings.Repeat("a", 200) + `" sha256:` + hash(long, 16)},
		{"not UTF-8", "a\xff\"b", `"a\xff\"b" sha256:` + hash("a\xff\"b", 16)},
		{"control character", "a\x7f", `"a\x7f" sha256:` + hash("a\x7f", 16)},
		{"line", "a\nb", `"a\nb" sha256:` + hash("a\nb", 16)},
		{"byte order mark", "\ufeffa", `"\ufeffa" sha256:` + hash("\ufeffa", 16)},
		{"space", "a b", "a b"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := EncodeName(c.in); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if EncodeName(long) == EncodeName(long+"a") {
		t.Error("two names are encoded alike")
	}
	if got := hash("abc", 8); got != "ba7816bf" {
		t.Errorf("hash = %s", got)
	}
}

func TestPriorOf(t *testing.T) {
	o := &Object{
		Labels: map[string]string{LabelInstance: "a"},
		Annotations: map[string]string{
			AnnotationService: "g/com.acme.Greeter:1", AnnotationUnit: "com.acme.Greeter", AnnotationRegistry: "zk",
		},
		ServiceEntry: &ServiceEntry{
			Host: "com.acme.greeter", Addresses: []string{"240.239.0.9"},
			Ports: []ServicePort{{Name: "tcp-dubbo-20880", Number: 20880, Protocol: TCP}},
		},
	}
	want := Prior{
		Host: "com.acme.greeter", Addresses: []string{"240.239.0.9"}, Labels: map[string]string{LabelInstance: "a"},
		Ports:   []ServicePort{{Name: "tcp-dubbo-20880", Number: 20880, Protocol: TCP}},
		Service: "g/com.acme.Greeter:1", Unit: "com.acme.Greeter", Registry: "zk",
	}
	if diff := cmp.Diff(want, PriorOf(o)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(Prior{}, PriorOf(&Object{})); diff != "" {
		t.Errorf("an object without spec: -want +got:\n%s", diff)
	}
}
