// Package consultest is an agent of Consul inside the process, for tests: the HTTP API for the catalogue and for health, with indexes
// for each service, blocking queries, ACLs, the limit of connections for each client, and the headers of stale answers.
//
// It is faithful where clients of the API come to harm: a query about a service without instances wakes when any other service
// disappears, a check of a node wakes the queries of all services on it, names are looked up without regard to case, results that a
// token may not see are missing from an answer with status 200, and indexes go back when the data does. A blocking query that waits while
// a snapshot is restored ends with what was there before, and its successor waits for an index that the data does not reach; one that
// the agent answers by its streaming backend does not even end, and its answers lack most headers.
package consultest
