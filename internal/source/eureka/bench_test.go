package eureka

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
)

// manyInstances is a gzipped answer with so many instances, ten of each application, as a server of Spring Cloud writes them. No two
// have the same metadata, so that there is nothing to share.
func manyInstances(tb testing.TB, n int) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	size := 0
	write := func(format string, args ...any) {
		k, err := fmt.Fprintf(z, format, args...)
		if err != nil {
			tb.Fatal(err)
		}
		size += k
	}
	write(`{"applications":{"versions__delta":"1","apps__hashcode":"UP_%d_","application":[`, n)
	for a := range n / 10 {
		if a > 0 {
			write(",")
		}
		write(`{"name":"SERVICE-%d","instance":[`, a)
		for i := range 10 {
			if i > 0 {
				write(",")
			}
			host := fmt.Sprintf("10.%d.%d.%d", i, a/250, a%250)
			write(`{"instanceId":"%[1]s:service-%[2]d:8080","hostName":"%[1]s","app":"SERVICE-%[2]d","ipAddr":"%[1]s","status":"UP",`+
				`"overriddenStatus":"UNKNOWN","port":{"$":8080,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},"countryId":1,`+
				`"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},`+
				`"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":170000%07[3]d,"lastRenewalTimestamp":170001%07[3]d,`+
				`"evictionTimestamp":0,"serviceUpTimestamp":170000%07[3]d},"metadata":{"management.port":"8081","node":"%[1]s","version":"v%[4]d","zone":"z%[4]d"},`+
				`"homePageUrl":"http://%[1]s:8080/","statusPageUrl":"http://%[1]s:8081/actuator/info","healthCheckUrl":"http://%[1]s:8081/actuator/health",`+
				`"vipAddress":"service-%[2]d","secureVipAddress":"service-%[2]d","isCoordinatingDiscoveryServer":"false",`+
				`"lastUpdatedTimestamp":"170000%07[3]d","lastDirtyTimestamp":"170000%07[3]d","actionType":"ADDED"}`, host, a, a*10+i, i%3)
		}
		write("]}")
	}
	write("]}}")
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	tb.Logf("%d instances, %d MB, %d kB compressed", n, size/1e6, b.Len()/1e3)
	return b.Bytes()
}

// decodeAll decodes an answer with everything, as a poll does, and calls each after each application.
func decodeAll(b *testing.B, data []byte, before *registry, each func()) *registry {
	b.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	r := newRegistry("id")
	_, err = decode(z, newConverter(""), func(name string, records []record, problem error) {
		r.add(name, records, problem, before)
		each()
	})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// heap is how much memory objects have, those that are no longer needed included, in MB.
func heap() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / 1e6
}

// BenchmarkEverything reads 100,000 instances from a compressed answer, as the first poll of a run does and as one does five minutes
// later. MB-extra is the peak of the heap above what there was before, MB-kept what is left of it.
func BenchmarkEverything(b *testing.B) {
	data := manyInstances(b, 100_000)
	again := decodeAll(b, data, nil, func() {})
	for name, before := range map[string]*registry{"first": nil, "again": again} {
		b.Run(name, func(b *testing.B) {
			runtime.GC()
			start := heap()
			peak := 0.0
			r := decodeAll(b, data, before, func() { peak = max(peak, heap()) })
			runtime.GC()
			kept := heap()
			runtime.KeepAlive(r)
			for b.Loop() {
				if r := decodeAll(b, data, before, func() {}); len(r.apps) != 10_000 {
					b.Fatalf("%d applications", len(r.apps))
				}
			}
			b.ReportMetric(peak-start, "MB-extra")
			b.ReportMetric(kept-start, "MB-kept")
		})
	}
}

// BenchmarkChanges applies changes of one instance in a hundred of 100,000, from a compressed answer.
func BenchmarkChanges(b *testing.B) {
	known := decodeAll(b, manyInstances(b, 100_000), nil, func() {})
	data := manyInstances(b, 1_000)
	for b.Loop() {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		var changes []change
		_, err = decode(z, newConverter(""), func(name string, records []record, _ error) {
			changes = append(changes, change{app: name, records: records})
		})
		if err != nil {
			b.Fatal(err)
		}
		after, complete := known.apply(changes)
		if !complete || after.hash() != "UP_100000_" || len(after.content().Services) != 10_000 {
			b.Fatalf("complete %t, hash %s", complete, after.hash())
		}
	}
}
