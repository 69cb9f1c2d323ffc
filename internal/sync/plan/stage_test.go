package plan

import "testing"

func TestRoutedServiceComes(t *testing.T) {
	runScenarios(t, []scenario{
		{"table, then entry, then route", `
			0s    sync s; routed a c1; want a 1
			0s    table c1:80; gone a; held a object by TableFirst until 5s; wake 5s
			4s    event; gone a
			5s    is a 1; seen a c1; table c1:80; wake 10s; free
			10s   table c1:80 a; wake never; free`},
		{"a table that has been live for long holds nothing up", `
			0s    sync s; routed a c1; want a 1
			20s   routed b c1; want b 2; is b 2; free; table c1:80 a
			25s   table c1:80 a b; wake never`},
		{"for the whole mesh, in the root namespace", `
			0s    sync s; routed a *; want a 1; table root:80; gone a
			5s    seen a *
			10s   table root:80 a`},
		{"several namespaces and ports: the entry waits for every table", `
			0s    sync s; refuse c2:81; ports a tcp-80 tcp-81; routed a c1 c2; want a 1
			0s    table c1:80; table c1:81; table c2:80; notable c2:81; held a object by TableFirst
			1m    gone a
			1m    accept c2:81; table c2:81; gone a; held a object by TableFirst until 1m5s
			1m5s  is a 1
			1m10s table c1:80 a; table c2:81 a`},
		{"another namespace", `
			0s    sync s; routed a c1; want a 1
			20s   routed a c1 c2; want a 1; seen a c1; table c2:80; held a object by TableFirst until 25s
			25s   seen a c1 c2; table c2:80; free
			30s   table c2:80 a; table c1:80 a`},
		{"another port", `
			0s    sync s; routed a c1; want a 1
			20s   ports a tcp-80 tcp-81; want a 1; serves a tcp-80; maps a 1 tcp-80=80
			22s   want a 1 2; is a 1 2; serves a tcp-80
			25s   serves a tcp-80 tcp-81; table c1:81
			30s   table c1:81 a; table c1:80 a`},
		{"an address is given up for a table", `
			0s    sync s; want a 1
			20s   routed a c1; want a 1 2; seen a; is a 1 2; table c1:80
			25s   seen a c1
			30s   table c1:80 a`},
		{"a service without a route", `
			0s    sync s; routed a c1; unroute a; want a 1; table c1:80
			5s    seen a c1; table c1:80; wake never
			20s   route a; want a 1
			25s   table c1:80 a
			30s   unroute a; want a 1
			35s   table c1:80; seen a c1; wake never`},
		{"a shard of a routed host needs nothing new", `
			0s    sync s; routed a c1; want a 1
			20s   want a#2 2; is a#2 2; free`},
		{"a route waits for every shard of a new host", `
			0s    sync s; routed a c1; want a 1; want a#2 2
			5s    is a 1; is a#2 2; table c1:80
			10s   table c1:80 a`},
	})
}

func TestRoutedServiceGoes(t *testing.T) {
	runScenarios(t, []scenario{
		{"route, then entry, then table", `
			0s    sync s; routed a c1; want a 1
			20s   withdraw a s; want a; is a 1; table c1:80 a; held a object by RoutesFirst until 3m20s
			25s   is a 1; table c1:80; held a object by RoutesFirst until 85s
			84s   is a 1
			85s   gone a; table c1:80; free; wake 90s
			90s   notable c1:80; wake never`},
		{"a namespace", `
			0s    sync s; routed a c1 c2; want a 1
			20s   routed a c1; want a 1 2; is a 1 2; seen a c1 c2; table c2:80 a
			25s   seen a c1 c2; table c2:80
			85s   seen a c1; table c2:80; free
			90s   notable c2:80; table c1:80 a`},
		{"a port", `
			0s    sync s; grace r 0s; ports a tcp-80 tcp-81; routed a c1; want a 1:8080
			20s   ports a tcp-80; want a 1:8080 2; serves a tcp-80 tcp-81; maps a 1 tcp-80=8080 tcp-81=8080; is a 1:8080 2
			25s   table c1:81; serves a tcp-80 tcp-81
			85s   serves a tcp-80
			90s   notable c1:81; table c1:80 a; free`},
		{"a namespace and a port for others", `
			0s    sync s; grace r 0s; routed a c1; want a 1
			20s   ports a tcp-81; routed a c2; want a 1; seen a c1; serves a tcp-80
			2m    seen a c2; serves a tcp-81; table c2:81 a; notable c1:80; free`},
		{"a table is given up for an address", `
			0s    sync s; routed a c1; want a 1
			20s   addressed a; want a 2; is a 2; seen a c1
			25s   table c1:80; seen a c1
			85s   seen a
			90s   notable c1:80; free`},
		{"the last instance: the route stays as long as the entry", `
			0s     sync s; routed a c1; routed b c1; want a 1; want b 2
			1m     want a; is a 1; table c1:80 a b; held a 1 by EmptyService until 4m
			4m     is a; table c1:80 a b
			14m    is a; table c1:80 a b; held a object by RoutesFirst until 17m
			14m5s  table c1:80 b; is a
			15m5s  gone a; table c1:80 b; free; wake never`},
		{"it comes back in time", `
			0s    sync s; routed a c1; want a 1
			20s   withdraw a s; want a
			26s   is a 1; table c1:80
			27s   readmit; want a 1; is a 1; free
			32s   table c1:80 a; wake never`},
		{"a table that cannot be written keeps nothing for ever", `
			0s     sync s; routed a c1; want a 1
			20s    refuse c1:80; withdraw a s; want a; is a 1
			3m19s  is a 1
			3m20s  gone a; table c1:80 a; free
			4m     accept c1:80; notable c1:80; free`},
		{"an instance leaves at once, whatever else waits", `
			0s    sync s; routed a c1; routed b c1; want a 1 2 3 4 5; want b 6
			20s   withdraw b s; want b; want a 1 2 3 4; is a 1 2 3 4; is b 6
			21s   want a 1 2 3; is a 1 2 3; table c1:80 a b
			22s   want a 1 2 3 7; is a 1 2 3 7; table c1:80 a b
			25s   table c1:80 a; is b 6
			85s   gone b`},
		{"a Registry that is deleted takes everything with it", `
			0s    sync s; routed a c1; tag 1 gray; want a 1 2
			20s   delete r; want a; is a 1 2; table c1:80 a/gray a
			2m    gone a; notable c1:80; subsets a; free; wake never`},
	})
}

func TestRoutesAreCoalesced(t *testing.T) {
	runScenarios(t, []scenario{
		{"until they are quiet", `
			0s    sync s; routed a c1; routed b c1; routed c c1; want a 1
			20s   want b 2; table c1:80 a; wake 25s
			23s   want c 3; table c1:80 a; wake 28s
			26s   want a 1 4; is a 1 4
			28s   table c1:80 a b c; wake never`},
		{"for a minute at most", `
			0s    sync s; routed a c1; routed b c1; routed c c1; want a 1; want c 3
			60s   want b 2
			64s   unroute c; want c 3
			68s   route c; want c 3
			72s   unroute c; want c 3
			76s   route c; want c 3
			80s   unroute c; want c 3
			84s   route c; want c 3
			88s   unroute c; want c 3
			92s   route c; want c 3
			96s   unroute c; want c 3
			100s  route c; want c 3
			104s  unroute c; want c 3
			108s  route c; want c 3
			112s  unroute c; want c 3
			116s  route c; want c 3; table c1:80 a c
			119s  unroute c; want c 3; table c1:80 a c
			120s  table c1:80 a b
			140s  wake never`},
		{"a change that is taken back", `
			0s    sync s; routed a c1; routed b c1; want a 1; want b 2
			20s   unroute b; want b 2; wake 25s
			22s   route b; want b 2; table c1:80 a b; wake never
			30s   unroute b; want b 2; wake 35s
			35s   table c1:80 a`},
		{"each table by itself", `
			0s    sync s; routed a c1; routed b c2; want a 1; want b 2
			20s   unroute a; want a 1
			23s   unroute b; want b 2
			25s   table c1:80; table c2:80 b
			28s   table c2:80`},
		{"a split waits for both", `
			0s    sync s; routed a c1; routed b c1; split a b; want a 1; table c1:80
			20s   table c1:80 a
			21s   want b 2; table c1:80 a
			26s   table c1:80 a+b b
			40s   withdraw b s; want b; table c1:80 a+b b
			45s   table c1:80 a; is b 2
			105s  gone b`},
		{"after a restart everything stays", `
			0s    sync s; routed a c1; routed b c1; split a b; tag 1 gray; want a 1 2; want b 3
			1m    restart s; want a; want b; is a 1 2; table c1:80 a/gray a+b b; subsets a gray
			5m    want a 2; table c1:80 a/gray a+b b; is a 1 2; subsets a gray
			6m    want a 1 2; want b 3; sync s; table c1:80 a/gray a+b b; subsets a gray; free; wake never`},
		{"after a restart an empty table stays until everything is known", `
			0s    sync s; sync t; routed a c1; unroute a; want a 1
			1m    withdraw a s; want a; table c1:80; is a 1
			65s   is a 1; table c1:80
			120s  gone a; table c1:80
			121s  restart s t; table c1:80
			10m   table c1:80; wake never
			10m   sync s; table c1:80
			11m   sync t; notable c1:80; wake never`},
	})
}

func TestTagsOfRoutes(t *testing.T) {
	runScenarios(t, []scenario{
		{"the rule comes before the route", `
			0s    sync s; routed a c1; tag 1 gray; want a 1 2; subsets a gray; gone a
			5s    is a 1 2; table c1:80
			10s   table c1:80 a/gray a`},
		{"a tag comes to a live host", `
			0s    sync s; routed a c1; tag 3 gray; want a 1 2
			20s   want a 1 2 3; is a 1 2 3; subsets a gray; table c1:80 a
			25s   table c1:80 a/gray a`},
		{"the route leaves at once, then the last endpoint, then the subset", `
			0s    sync s; routed a c1; routed b c1; tag 3 gray; tag 4 blue; want a 1 2 3 4; want b 5
			20s   unroute b; want b 5
			20s   want a 1 2 4; table c1:80 a/blue a b; is a 1 2 3 4; subsets a blue gray
			20500ms is a 1 2 4; subsets a blue gray
			25s   table c1:80 a/blue a; subsets a blue gray
			80s   subsets a blue; free; wake never`},
		{"one of several endpoints of a tag leaves at once", `
			0s    sync s; routed a c1; tag 3 gray; tag 4 gray; want a 1 2 3 4
			20s   want a 1 2 4; is a 1 2 4; table c1:80 a/gray a; wake never`},
		{"a table that cannot be written keeps the last endpoint for a second", `
			0s    sync s; routed a c1; tag 3 gray; want a 1 2 3
			20s   refuse c1:80; want a 1 2; is a 1 2 3
			21s   is a 1 2; subsets a gray
			10m   subsets a gray; table c1:80 a/gray a
			10m   accept c1:80; table c1:80 a
			11m   subsets a`},
		{"a service that empties: the tag's route goes, the other stays with the entry", `
			0s    sync s; routed a c1; routed b c1; tag 1 gray; want a 1 2; want b 3
			1m    want a; is a 1 2; table c1:80 a/gray a b; held a 1 2 by EmptyService until 4m
			4m    table c1:80 a b; is a 1
			4m1s  is a; table c1:80 a b
			14m   is a; table c1:80 a b
			16m   gone a; subsets a; free; wake never`},
		{"a DestinationRule that is not wanted any more goes behind its routes", `
			0s    sync s; routed a c1; tag 1 gray; want a 1 2
			20s   tag 1 none; want a 1 2; table c1:80 a; subsets a gray none
			2m    table c1:80 a/none a; subsets a none`},
	})
}

func TestRoutesOfRegistriesThatAreNotWritten(t *testing.T) {
	runScenarios(t, []scenario{
		{"observed: the plan shows where it leads to", `
			0s    sync s; mode r Observe; routed a c1; tag 1 gray; want a 1; notable c1:80
			0s    suppressed create:a create:registry-bridge-dubbo-80 create:a; free
			1m    mode r Active; table c1:80; gone a; held a object by TableFirst until 65s`},
		{"paused: its routes stay", `
			0s    sync s; routed a c1; want a 1
			20s   mode r Paused; withdraw a s; want a; is a 1; table c1:80 a; suppressed delete:registry-bridge-dubbo-80 delete:a; wake never
			10m   mode r Active; is a 1; table c1:80 a
			12m   gone a; notable c1:80`},
		{"paused: others go on in the same table", `
			0s    sync s; sync t; routed a c1; routed b c1; want a 1; want b t/2; unroute b
			20s   mode r Paused; unroute a; route b; want a 1; want b t/2
			25s   table c1:80 a b; is a 1; is b t/2`},
		{"frozen", `
			0s    sync s; routed a c1; want a 1
			20s   freeze; routed b c2; want b 2; notable c2:80; suppressed create:registry-bridge-dubbo-80 create:b
			1m    thaw; table c2:80; gone b
			65s   is b 2`},
		{"retained: tables stay with the entries of an orphan", `
			0s    sync s; routed a c1; want a 1
			20s   forget r; want a; is a 1; table c1:80 a
			1h    is a 1; table c1:80 a; wake never
			2h    remove c1:80; table c1:80; is a 1`},
		{"too many services: the table comes, the entry does not", `
			0s    sync s; max r 1; routed a c1; routed b c1; want a 1; want b 2
			1m    is a 1; gone b; table c1:80 a; held b object by TooManyServices; wake never`},
		{"a removal that has to be confirmed keeps its routes", `
			0s    sync s; routed n1 c1; many 20 1; table c1:80
			20s   table c1:80 n1; withdraw n1 s; withdraw n2 s; withdraw n3 s; withdraw n4 s; withdraw n5 s; withdraw n6 s
			20s   withdraw n7 s; withdraw n8 s; withdraw n9 s; withdraw n10 s; withdraw n11 s
			20s   want n1; want n2; want n3; want n4; want n5; want n6; want n7; want n8; want n9; want n10; want n11
			1h    is n1 1; table c1:80 n1; held n1 object by ConfirmRemoval
			1h    release r ConfirmRemoval; gone n2; is n1 1; table c1:80 n1
			62m   gone n1; notable c1:80`},
		{"a table that somebody deletes comes back at once, with its routes", `
			0s    sync s; routed a c1; want a 1
			20s   remove c1:80; table c1:80 a; is a 1
			21s   routed b c1; want b 2; gone b; held b object by TableFirst until 25s`},
	})
}
