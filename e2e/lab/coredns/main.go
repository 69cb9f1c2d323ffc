//go:build ignore

// CoreDNS with only the plugins that a test cluster needs: a small program, and most of the build saved. The lab builds it from
// coredns.mod; it is no part of this module.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	dnsserver.Directives = []string{"ready", "health", "errors", "kubernetes"}
	coremain.Run()
}
