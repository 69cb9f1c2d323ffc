// Package consul watches the services of one Consul datacenter (and, in Consul Enterprise, of one namespace and partition of it).
//
//	/v1/catalog/services        the listing: which services there are; one blocking query, at least 2 s apart
//	/v1/health/service/<name>   a unit: the instances of one service with their checks; one blocking query for each selected service
//
// A blocking query returns when the index of what it asks for is above the index that it was given, or when its wait is over. Indexes
// are hints only: what is compared is what was made of the answers.
//
// Consul answers a query whose results the token may not see with fewer results and status 200, a service without instances with an
// empty list, and a query to a server without leader from that server's memory. None of these is taken for the registry's word: see
// client.get for what makes an answer a failure, and failed in unit.go for what becomes of it.
package consul
