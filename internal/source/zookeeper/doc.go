// Package zookeeper watches Dubbo services that register in Apache ZooKeeper at the interface level:
//
//	<root>/<interface>/providers/<URL>        one node per instance and protocol; the name is the whole content
//	<root>/<interface>/configurators/<URL>    rules that change weight and disabled
//
// Interface nodes and URLs are percent-encoded once. Nodes beside the interfaces that are none (config, mapping, metadata) and
// everything else below an interface (consumers, routers) is not looked at.
package zookeeper
