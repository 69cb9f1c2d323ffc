package pieces

import (
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// A table of routes that is too large for one object is stored in several:
//
//	<name>         puts an empty table in the place of what the listener had
//	<name>-1 …     each add some of the routes
//	<name>-rest    adds the last route
//
// The first is written last and deleted first, so that there is never a table without its last route. A route moves between parts when
// their number changes; while it is in none, its calls go where their consumers send them.
const (
	// maxTable is the size from which a table is stored in parts, and maxPart the one that a part has at most, in bytes, by an estimate
	// that is too high. etcd refuses objects of 1.5 MiB.
	maxTable = 900 << 10
	maxPart  = 700 << 10
	restPart = "rest"
)

// size estimates the bytes of a route in an object, upwards.
func size(r *translate.DubboRoute) int {
	n := 100 + len(r.Interface) + len(r.Group) + len(r.Version)
	for i := range r.Matches {
		m := &r.Matches[i]
		n += 400 + len(m.Method.Exact+m.Method.Prefix+m.Method.Suffix+m.Method.Regex) + len(m.Tag)
		for _, t := range m.To {
			n += 60 + len(t.Host) + len(t.Subset)
		}
	}
	return n
}

// isLarge reports whether an object is a table that is stored in parts.
func isLarge(o *translate.Object) bool {
	if o.EnvoyFilter == nil || o.EnvoyFilter.Part != translate.WholeTable {
		return false
	}
	total := 0
	for i := range o.EnvoyFilter.Routes {
		total += size(&o.EnvoyFilter.Routes[i])
	}
	return total > maxTable
}

// splitTable returns the parts of a table, sorted by key.
func splitTable(o *translate.Object) []*translate.Object {
	part := func(suffix string, kind translate.TablePart, routes []translate.DubboRoute) *translate.Object {
		piece := *o
		table := *o.EnvoyFilter
		table.Part, table.Routes = kind, routes
		piece.EnvoyFilter = &table
		if suffix != "" {
			piece.Key.Name += "-" + suffix
		}
		return &piece
	}
	list := []*translate.Object{part("", translate.TableBase, nil), part(restPart, translate.TableRest, nil)}
	for i, routes := range distribute(o.EnvoyFilter.Routes) {
		if len(routes) > 0 {
			list = append(list, part(strconv.Itoa(i+1), translate.TableRoutes, routes))
		}
	}
	slices.SortFunc(list, func(a, b *translate.Object) int { return a.Key.Compare(b.Key) })
	return list
}

// distribute spreads routes over as many lists, a power of two, as it takes for each to fit. Where a route is depends on its interface
// and that number only.
func distribute(routes []translate.DubboRoute) [][]translate.DubboRoute {
	for n := uint32(2); ; n *= 2 {
		lists, sizes, fits := make([][]translate.DubboRoute, n), make([]int, n), true
		for i := range routes {
			h := fnv.New32a()
			_, _ = io.WriteString(h, routes[i].Interface)
			at := (h.Sum32() ^ h.Sum32()>>16) % n
			lists[at] = append(lists[at], routes[i])
			sizes[at] += size(&routes[i])
			fits = fits && (sizes[at] <= maxPart || len(lists[at]) == 1)
		}
		if fits || n > uint32(len(routes)) { //nolint:gosec // a table has fewer
			return lists
		}
	}
}

// tableOwner returns the key of the table that a part belongs to.
func tableOwner(key translate.Key) translate.Key {
	base := translate.TableKey(key.Namespace, 0).Name
	base = base[:len(base)-1]
	if tail, ours := strings.CutPrefix(key.Name, base); ours {
		port, _, _ := strings.Cut(tail, "-")
		key.Name = base + port
	}
	return key
}

// joinedTable makes one table of parts. Parts that do not make one show as something unknown, so that they are written again.
func joinedTable(stored []plan.Live) *translate.Object {
	o := *stored[0].Object
	o.Key = tableOwner(o.Key)
	table := *o.EnvoyFilter
	table.Part, table.Routes, table.Unknown = translate.WholeTable, nil, ""
	count := map[translate.TablePart]int{}
	for i := range stored {
		f := stored[i].Object.EnvoyFilter
		count[f.Part]++
		table.Routes = append(table.Routes, f.Routes...)
		if f.Unknown != "" || f.Port != table.Port || f.Mesh != table.Mesh {
			table.Unknown = "a part differs"
		}
	}
	compare := func(a, b translate.DubboRoute) int { return a.Compare(&b) }
	slices.SortFunc(table.Routes, compare)
	once := len(slices.CompactFunc(slices.Clone(table.Routes), func(a, b translate.DubboRoute) bool { return compare(a, b) == 0 })) == len(table.Routes)
	if count[translate.WholeTable] > 0 || count[translate.TableBase] != 1 || count[translate.TableRest] != 1 || !once {
		table.Unknown = "the parts do not make a table"
	}
	o.EnvoyFilter = &table
	return &o
}

// tableStages returns the writes of a table of which parts are wanted, or live.
func (w *Writing) tableStages(seen []plan.Live) [][]plan.Change {
	var base, coming []plan.Change
	var going []plan.Change
	wanted := map[translate.Key]bool{}
	if w.change.Object != nil {
		for _, piece := range Split(w.change.Object) {
			wanted[piece.Key] = true
			change, differs := w.compare(piece)
			switch {
			case !differs:
			case piece.Key == w.change.Key:
				base = append(base, change)
			default:
				coming = append(coming, change)
			}
		}
	}
	for i := range seen {
		switch key := seen[i].Object.Key; {
		case wanted[key]:
		case key == w.change.Key:
			base = append(base, plan.Change{Op: plan.Delete, Key: key, Live: &seen[i]})
		default:
			going = append(going, plan.Change{Op: plan.Delete, Key: key, Live: &seen[i]})
		}
	}
	return [][]plan.Change{coming, base, going}
}
