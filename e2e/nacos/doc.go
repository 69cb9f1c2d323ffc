// Package nacos holds the source of Nacos against what goes wrong with the client that Nacos has for Go, which it does not use: each trap is a
// test that the library fails and the source passes. See docs/design/0013-nacos-client.md.
package nacos
