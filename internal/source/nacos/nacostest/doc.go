// Package nacostest has a server that speaks the gRPC protocol of Nacos 2 and 3 as far as a client of service discovery sees it, for tests:
// server check, connection setup, list, subscribe, query, push, registration by a connection, and the login by HTTP. It runs in the process,
// and can be told to do what real servers do on bad days.
//
// Several servers of one Registry are a cluster whose data is always in step. Differences to a real server are in the comments.
package nacostest
