// Package zookeeper watches services that register in Apache ZooKeeper, in one of these layouts:
//
//	DubboInterface     <root>/<interface>/providers/<URL>        one node per instance and protocol; the name is the whole content
//	                   <root>/<interface>/configurators/<URL>    rules that change weight and disabled
//	DubboApplication   <root>/<application>/<host:port>          one node per instance; its data is the content
//	                   <meta>/mapping, <meta>/metadata           which interfaces an application offers
//	SpringCloud        <root>/<application>/<id>                 one node per instance; its data is the content
//
// Interface nodes and URLs are percent-encoded once. Nodes beside the interfaces that are none (config, mapping, metadata) and
// everything else below an interface (consumers, routers) is not looked at.
package zookeeper
