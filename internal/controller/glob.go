package controller

import (
	"regexp"
	"strings"
)

// selects compiles services.include and services.exclude; nil when every service is selected.
func selects(include, exclude []string) func(original string) bool {
	included, excluded := matches(include), matches(exclude)
	switch {
	case len(include) == 0 && len(exclude) == 0:
		return nil
	case len(include) == 0:
		return func(original string) bool { return !excluded(original) }
	case len(exclude) == 0:
		return included
	}
	return func(original string) bool { return included(original) && !excluded(original) }
}

// matches compiles globs: "*" stands for any characters, "?" for one. A name matches when one glob covers all of it, or all of the
// interface in a Dubbo name "group/interface:version".
func matches(globs []string) func(original string) bool {
	alternatives := make([]string, len(globs))
	for i, g := range globs {
		g = regexp.QuoteMeta(g)
		g = strings.ReplaceAll(g, `\*`, ".*")
		alternatives[i] = strings.ReplaceAll(g, `\?`, ".")
	}
	re := regexp.MustCompile(`(?s)^(?:` + strings.Join(alternatives, "|") + `)$`)
	return func(original string) bool {
		if re.MatchString(original) {
			return true
		}
		name := dubboInterface(original)
		return name != original && re.MatchString(name)
	}
}

// dubboInterface cuts the interface out of "group/interface:version"; other names stay as they are.
func dubboInterface(original string) string {
	name := original[strings.Index(original, "/")+1:]
	name, _, _ = strings.Cut(name, ":")
	return name
}
