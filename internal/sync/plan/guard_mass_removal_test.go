package plan

import (
	"fmt"
	"testing"
)

func TestMassive(t *testing.T) {
	for _, c := range []struct {
		base, n, percent int
		want             bool
	}{
		{100, 70, 30, false},
		{100, 69, 30, true},
		{30, 20, 30, false},
		{30, 19, 30, true},
		{11, 0, 30, true},
		{10, 0, 30, false},
		{12, 1, 30, true},
		{12, 2, 30, false},
		{1000, 700, 30, false},
		{1000, 699, 30, true},
		{100, 200, 30, false},
		{100, 89, 0, true},
		{100, 90, 0, false},
		{100, 0, 100, false},
		{0, 0, 30, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			if got := massive(c.base, c.n, c.percent); got != c.want {
				t.Errorf("massive = %v", got)
			}
		})
	}
}

func TestMassQuota(t *testing.T) {
	for _, c := range [][3]int{{10, 5, 0}, {10, 4, 6}, {10, 0, 10}, {9, 5, 0}, {9, 4, 5}, {1, 0, 1}, {0, 0, 0}, {5, 9, 0}} {
		if got := massQuota(c[0], c[1]); got != c[2] {
			t.Errorf("massQuota(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestMassRemoval(t *testing.T) {
	runScenarios(t, []scenario{
		{"holds only in services that keep less than half, and lets the others go", `
			0s    sync s; want a 1..20; want b 21..40; want c 41..60
			10m   want a 1..10; want b 21..28
			10m   is a 1..10; free a; free c; is b 21..40; held b 29..40 by MassRemoval until 20m; holds MassRemoval 12
			19m59s is b 21..40
			20m   is b 21..28; free; wake never`},
		{"exactly 30 % pass", `
			0s    sync s; want a 1..20; want b 21..40
			10m   want a 1..8; is a 1..8; free`},
		{"one more does not", `
			0s    sync s; want a 1..20; want b 21..40
			10m   want a 1..7; is a 1..20; held a 8..20 by MassRemoval until 20m`},
		{"exactly 10 pass", `
			0s    sync s; want a 1..15; want b 21
			10m   want a 1..5; is a 1..5; free`},
		{"eleven do not", `
			0s    sync s; want a 1..15; want b 21
			10m   want a 1..4; is a 1..15`},
		{"a service that keeps exactly half loses the rest", `
			0s    sync s; want a 1..24; want b 31
			10m   want a 1..12; is a 1..12; free`},
		{"each newcomer frees one", `
			0s    sync s; want a 1..20; want b 31
			10m   want a 1..4; holds MassRemoval 16
			11m   want a 1..4 41..43; is a 1..6 10..20 41..43; holds MassRemoval 13`},
		{"ends on recovery", `
			0s    sync s; want a 1..20; want b 31..50; want c 61..70
			10m   want a 1; want b 31..50; held a 2..20 by MassRemoval until 20m
			11m   want a 1; want c 61..74; is a 1; free`},
		{"an address with many interfaces counts once", `
			0s    sync s; want a 1..4; want b 1..4; want c 1..4; want d 1..4; want e 9..19
			10m   want a 9; want b 9; want c 9; want d 9; is a 9; is d 9; free`},
		{"blue/green holds nothing", `
			0s    sync s; want a 1..40
			10m   want a 101..140; is a 101..140; free`},
		{"an evening scale-in holds nothing", `
			0s    sync s; want a 1..100
			10m   want a 1..90
			11m   want a 1..80
			15m   want a 1..70; is a 1..70; free
			16m   want a 1..60; is a 1..60
			21m   want a 1..45; is a 1..45
			26m   want a 1..32; is a 1..32
			31m   want a 1..22; is a 1..22
			36m   want a 1..12; is a 1..12; free`},
		{"the baseline is 5 minutes old", `
			0s    sync s; want a 1..40; want b 51..60
			10m   want a 1..26; is a 1..26
			14m59s want a 1..19; is a 1..26; held a 20..26 by MassRemoval until 24m59s`},
		{"what was lost 5 minutes ago does not count any more", `
			0s    sync s; want a 1..40; want b 51..60
			10m   want a 1..26; is a 1..26
			15m   want a 1..19; is a 1..19; free`},
		{"the time in Failing does not count", `
			0s    sync s; want a 1..20; want b 31
			10m   want a 1; held a 2..20 by MassRemoval until 20m
			12m   fail s; held a 2..20 by Failing
			30m   sync s; held a 2..20 by MassRemoval until 38m
			38m   is a 1`},
		{"is released by a person", `
			0s    sync s; want a 1..20; want b 31
			10m   want a 1
			11m   release r MassRemoval; is a 1; free
			12m   want a 1..20
			30m   want a 1; is a 1..20`},
		{"a short holdFor is not followed by another one", `
			0s    sync s; want a 1..20; want b 31; masshold r 20s
			10m   want a 1; held a 2..20 by MassRemoval until 10m20s
			10m20s is a 1; free; wake never`},
		{"500 instances restarted empty and registering again lose nobody", `
			0s    sync s; want a 1..200; want b 201..400; want c 401..500
			10m   want a; want b; want c; holds EmptySource 500
			10m10s want a 1; is a 1..200; is b 201..400; is c 401..500
			10m20s want a 1..50; want b 201..300; is a 1..200; is b 201..400; is c 401..500
			10m30s want a 1..150; want b 201..350; want c 401; is a 1..200; is b 201..400; is c 401..500
			10m40s want a 1..200; want b 201..400; want c 401..500; free
			60m   is a 1..200; is b 201..400; is c 401..500`},
		{"whole services that vanish together stay for holdFor", `
			0s    sync s; many 20 2
			10m   many 13 2; want n14; want n15; want n16; want n17; want n18; want n19; want n20
			10m   holds MassRemoval 14
			13m   is n14 28 29
			20m   is n14; is n20`},
		{"a baseline that moves on to a higher count trips", `
			0s    sync s; want a 1; want b 2
			10m   want a 1..40
			11m   want a 1..5 ; is a 1..5
			11m   offline; want a 1..3; free
			15m   held a 4 5 by MassRemoval until 25m
			15m   online; event; is a 1..5`},
		{"seeded from live at start", `
			0s    live a 1..20; live b 31..40; want b 31..40
			1m    sync s; held a 1..20 by MassRemoval until 11m
			4m    is a 1..20
			11m   is a`},
		{"what configuration takes away is no loss", `
			0s    sync s; want a 1..20; want b 31..40; want c 41
			10m   withdraw a s; want a; gone a
			11m   want b 31..34; is b 31..34; free`},
		{"a unit that cannot be read is no loss", `
			0s    live a 1..20; live b 31..40; live c 41..42; sync s; unit s a unread; want b 31..40; want c 41 42
			1m    want b 31; is b 31; held a 1..20 by Failing`},
	})
}
