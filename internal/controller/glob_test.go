package controller

import "testing"

func TestSelects(t *testing.T) {
	tests := []struct {
		name             string
		include, exclude []string
		original         string
		want             bool
	}{
		{"prefix", []string{"com.acme.*"}, nil, "com.acme.Foo", true},
		{"star crosses dots", []string{"com.*"}, nil, "com.acme.internal.Foo", true},
		{"the whole name", []string{"com.acme"}, nil, "com.acme.Foo", false},
		{"dots are dots", []string{"com.acme"}, nil, "comxacme", false},
		{"one character", []string{"a?c"}, nil, "abc", true},
		{"exactly one character", []string{"a?c"}, nil, "ac", false},
		{"excluded", nil, []string{"*.internal.*"}, "com.internal.Foo", false},
		{"not excluded", nil, []string{"*.internal.*"}, "com.acme.Foo", true},
		{"exclude wins", []string{"com.*"}, []string{"*.Foo"}, "com.Foo", false},
		{"not included and not excluded", []string{"com.*"}, []string{"*.Foo"}, "org.Bar", false},
		{"interface of a full name", []string{"com.acme.*"}, nil, "blue/com.acme.Foo:1.0", true},
		{"interface is all of it", []string{"com.acme.Foo"}, nil, "blue/com.acme.Foo:1.0", true},
		{"group", []string{"blue/*"}, nil, "blue/com.acme.Foo:1.0", true},
		{"other group", []string{"blue/*"}, nil, "green/com.acme.Foo:1.0", false},
		{"version", nil, []string{"*:1.0"}, "com.acme.Foo:1.0", false},
		{"not UTF-8", []string{"a?b"}, nil, "a\xffb", true},
		{"line break", []string{"a*"}, nil, "a\nb", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := selects(tt.include, tt.exclude)(tt.original); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
	if selects(nil, nil) != nil {
		t.Error("a filter is applied although nothing is configured")
	}
}
