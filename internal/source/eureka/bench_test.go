package eureka

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"testing"
)

// manyInstances is a gzipped answer with so many instances, ten of each application, as a server of Spring Cloud writes them.
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
				`"evictionTimestamp":0,"serviceUpTimestamp":170000%07[3]d},"metadata":{"management.port":"8081","version":"v%[4]d","zone":"z%[4]d"},`+
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

func BenchmarkDecode(b *testing.B) {
	data := manyInstances(b, 100_000)
	runtime.GC()
	b.ReportAllocs()
	for b.Loop() {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		count := 0
		keep := map[string][]record{}
		_, err = decode(io.Reader(z), newConverter(""), func(name string, r []record, err error) error { count += len(r); keep[name] = r; return err })
		if err != nil || count != 100_000 {
			b.Fatal(count, err)
		}
	}
}
