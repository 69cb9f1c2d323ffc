// Package transcript proves that the ZooKeeper inside the test process (internal/source/zookeeper/zktest) behaves as a real one to
// clients that are not ours: one script of operations and watches is run by go-zookeeper and by Apache Curator, each against both
// servers, and what a client saw must be the same.
//
//	testdata/script.txt ──▶ go-zookeeper ──▶ proxy of each client ──▶ zktest
//	                   └──▶ Curator (Java) ──▶                    └──▶ ZooKeeper 3.9
//
// A third client, without a library, sends both servers the same frames, among them those that no library would send, and compares
// every field of every answer.
//
// What the clients saw of the real server is kept in testdata/*.golden (go test ./transcript -update writes it).
package transcript
