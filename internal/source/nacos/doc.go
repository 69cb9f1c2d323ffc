// Package nacos watches the services of one group in one namespace of Alibaba Nacos, version 2 or 3, over its gRPC protocol.
//
//	ServiceListRequest          the listing: which services there are; every 10 s, all names in one answer
//	SubscribeServiceRequest     a unit: the instances of one service; asked once in each connection, for each selected service
//	NotifySubscriberRequest     the server's push: all instances of one subscribed service after a change
//
// A connection is to one server of the cluster. What a server says counts within its connection only: the times in its answers are those
// of its own clock, and subscriptions end with the connection. So each connection begins with a listing and subscribes again, and what
// the answers say is compared with what was told before.
//
//	          connected          first listing
//	─▶ away ───────────▶ listing ───────────▶ watching     each service is subscribed to, 64 at a time
//	     ▲                  │                    │
//	     └──────────────────┴────────────────────┘         the connection is lost, or the server sends its clients elsewhere
//
// Of the client library the messages are used, and not its clients: see docs/design/0013-nacos-client.md.
package nacos
