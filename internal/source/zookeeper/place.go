package zookeeper

import "strings"

// level is how deep below the root a path is.
type level uint8

const (
	elsewhere level = iota // Not looked at.
	atRoot
	atInterface
	atCategory
	atNode
)

// place is what a path stands for. Parts below its level are empty.
type place struct {
	level    level
	iface    string // The name of the interface node.
	category category
	node     string // The name of a provider or a rule.
}

// locate finds the place of a path. It allocates nothing: most events of a busy registry are about consumers and end here.
func locate(root, path string) place {
	if path == root {
		return place{level: atRoot}
	}
	if root != "/" {
		rest, ok := strings.CutPrefix(path, root)
		if !ok {
			return place{}
		}
		path = rest
	}
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return place{}
	}
	iface, path, deeper := strings.Cut(path, "/")
	if isReserved(iface) {
		return place{}
	}
	if !deeper {
		return place{level: atInterface, iface: iface}
	}
	name, node, deeper := strings.Cut(path, "/")
	p := place{level: atCategory, iface: iface}
	switch name {
	case providers.String():
		p.category = providers
	case configurators.String():
		p.category = configurators
	default:
		return place{}
	}
	if !deeper {
		return p
	}
	if strings.Contains(node, "/") {
		return place{}
	}
	p.level, p.node = atNode, node
	return p
}

// isReserved names what Dubbo keeps beside the interfaces.
func isReserved(node string) bool { return node == "config" || node == "mapping" || node == "metadata" }
