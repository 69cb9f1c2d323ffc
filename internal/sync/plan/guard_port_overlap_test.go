package plan

import "testing"

func TestPortOverlap(t *testing.T) {
	runScenarios(t, []scenario{
		{"a replaced port stays beside the new one for emptyGrace", `
			0s    sync s; want a 1:8080 2
			1m    ports a tcp-90; want a 1:8080 2 3
			1m    serves a tcp-80 tcp-90; held a object by PortOverlap until 4m; wake 4m
			1m    maps a 1 tcp-80=8080 tcp-90=8080; maps a 2 tcp-80=80 tcp-90=80; maps a 3 tcp-80=80 tcp-90=80
			2m    event; serves a tcp-80 tcp-90; held a object by PortOverlap until 4m
			3m59s serves a tcp-80 tcp-90
			4m    serves a tcp-90; maps a 1 tcp-90=8080; free; wake never`},
		{"endpoints come and go meanwhile", `
			0s    sync s; want a 1 2
			1m    ports a tcp-90; want a 1 2
			2m    want a 1 3; is a 1 3; maps a 3 tcp-80=80 tcp-90=80; serves a tcp-80 tcp-90
			4m    serves a tcp-90; is a 1 3`},
		{"the same number with another protocol is replaced at once", `
			0s    sync s; want a 1
			1m    ports a http-80; want a 1; serves a http-80; free; maps a 1 http-80=80`},
		{"a held endpoint has the object's current port names", `
			0s    sync s; want a 1:8080 2; want b 3
			1m    fail s; ports a http-80; want a 2; held a 1:8080 by Failing; maps a 1 http-80=8080; maps a 2 http-80=80`},
		{"a held endpoint has the old and the new port during the overlap", `
			0s    sync s; want a 1:8080 2; want b 3
			1m    fail s; ports a tcp-90; want a 2; maps a 1 tcp-80=8080 tcp-90=8080
			4m    maps a 1 tcp-90=8080; maps a 2 tcp-90=80; held a 1:8080 by Failing`},
		{"after a restart the overlap starts again", `
			0s    sync s; want a 1
			1m    ports a tcp-90; want a 1
			2m    restart; event; held a object by PortOverlap until 5m
			5m    serves a tcp-90`},
		{"no grace, no overlap", `
			0s    sync s; want a 1; grace r 0s
			1m    ports a tcp-90; want a 1; serves a tcp-90; free`},
		{"two changes in a row", `
			0s    sync s; want a 1
			1m    ports a tcp-90; want a 1
			2m    ports a tcp-95; want a 1; serves a tcp-80 tcp-90 tcp-95
			4m    serves a tcp-90 tcp-95
			5m    serves a tcp-95`},
	})
}
