package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// sample is one filled value of each record, with an empty one to decode into.
type sample struct {
	name         string
	value, empty wire.Record
}

func samples() []sample {
	stat := wire.Stat{
		Czxid: 1, Mzxid: 2, Ctime: 3, Mtime: 4, Version: 5, Cversion: 6, Aversion: 7, EphemeralOwner: -8, DataLength: 9,
		NumChildren: 10, Pzxid: 11,
	}
	acl := []wire.ACL{{Perms: wire.PermRead, Scheme: "digest", ID: "u:h"}, wire.WorldAll()[0]}
	create := wire.CreateRequest{Path: "/a", Data: []byte("d"), ACL: acl, Mode: wire.ModeEphemeralSequential}
	set := wire.SetWatches{RelativeZxid: 7, Data: []string{"/d"}, Exist: []string{"/e", "/f"}, Child: []string{"/c"}}
	return []sample{
		{"connect request", &wire.ConnectRequest{LastZxidSeen: 1 << 40, Timeout: 10, SessionID: -3, Password: []byte("pw"), ReadOnly: true, HasReadOnly: true}, &wire.ConnectRequest{}},
		{"connect request of an old client", &wire.ConnectRequest{Timeout: 10, Password: []byte{}}, &wire.ConnectRequest{}},
		{"connect response", &wire.ConnectResponse{Timeout: 10, SessionID: 4, Password: []byte("pw"), HasReadOnly: true}, &wire.ConnectResponse{}},
		{"connect response of an old server", &wire.ConnectResponse{Timeout: 10, SessionID: 4}, &wire.ConnectResponse{}},
		{"request header", &wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}, &wire.RequestHeader{}},
		{"reply header", &wire.ReplyHeader{Xid: 3, Zxid: -1, Err: wire.CodeNoNode}, &wire.ReplyHeader{}},
		{"auth", &wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}, &wire.AuthRequest{}},
		{"who am i", &wire.WhoAmIResponse{Identities: []wire.ClientInfo{{Scheme: "ip", User: "::1"}}}, &wire.WhoAmIResponse{}},
		{"stat", &stat, &wire.Stat{}},
		{"create", &create, &wire.CreateRequest{}},
		{"create without data", &wire.CreateRequest{Path: "/a", ACL: acl}, &wire.CreateRequest{}},
		{"create ttl", &wire.CreateTTLRequest{CreateRequest: create, TTL: 9}, &wire.CreateTTLRequest{}},
		{"create2 response", &wire.Create2Response{Path: "/a", Stat: stat}, &wire.Create2Response{}},
		{"path", &wire.PathRecord{Path: "/é\xff"}, &wire.PathRecord{}},
		{"read", &wire.ReadRequest{Path: "/a", Watch: true}, &wire.ReadRequest{}},
		{"version", &wire.VersionRequest{Path: "/a", Version: -1}, &wire.VersionRequest{}},
		{"set data", &wire.SetDataRequest{Path: "/a", Data: []byte{}, Version: 2}, &wire.SetDataRequest{}},
		{"set acl", &wire.SetACLRequest{Path: "/a", ACL: acl, Version: 2}, &wire.SetACLRequest{}},
		{"get acl response", &wire.GetACLResponse{ACL: acl, Stat: stat}, &wire.GetACLResponse{}},
		{"get data response", &wire.GetDataResponse{Data: []byte{0, 1}, Stat: stat}, &wire.GetDataResponse{}},
		{"children", &wire.ChildrenResponse{Children: []string{"a", "", "b"}}, &wire.ChildrenResponse{}},
		{"children2", &wire.Children2Response{Children: []string{"a", "b"}, Stat: stat}, &wire.Children2Response{}},
		{"children2, none", &wire.Children2Response{Stat: stat}, &wire.Children2Response{}},
		{"count", &wire.CountResponse{Count: 12}, &wire.CountResponse{}},
		{"event", &wire.WatcherEvent{Type: wire.EventNodeDeleted, State: wire.StateSyncConnected, Path: "/a"}, &wire.WatcherEvent{}},
		{"set watches", &set, &wire.SetWatches{}},
		{"set watches 2", &wire.SetWatches2{SetWatches: set, Persistent: []string{"/p"}, PersistentRecursive: []string{"/r"}}, &wire.SetWatches2{}},
		{"add watch", &wire.AddWatchRequest{Path: "/a", Mode: wire.WatchPersistentRecursive}, &wire.AddWatchRequest{}},
		{"watches", &wire.WatchesRequest{Path: "/a", Type: wire.WatcherAny}, &wire.WatchesRequest{}},
		{"error", &wire.ErrorResponse{Code: wire.CodeNotEmpty}, &wire.ErrorResponse{}},
		{"multi", &wire.MultiRequest{Ops: []wire.MultiOp{
			{Op: wire.OpCreate, Request: &create},
			{Op: wire.OpCreateTTL, Request: &wire.CreateTTLRequest{CreateRequest: create, TTL: 9}},
			{Op: wire.OpDelete, Request: &wire.VersionRequest{Path: "/a", Version: 1}},
			{Op: wire.OpSetData, Request: &wire.SetDataRequest{Path: "/a"}},
			{Op: wire.OpCheck, Request: &wire.VersionRequest{Path: "/a"}},
			{Op: wire.OpGetChildren, Request: &wire.ReadRequest{Path: "/a"}},
		}}, &wire.MultiRequest{}},
		{"multi response", &wire.MultiResponse{Results: []wire.MultiResult{
			{Op: wire.OpCreate, Response: &wire.PathRecord{Path: "/a"}},
			{Op: wire.OpCreate2, Response: &wire.Create2Response{Path: "/a", Stat: stat}},
			{Op: wire.OpDelete},
			{Op: wire.OpSetData, Response: &stat},
			{Op: wire.OpGetData, Response: &wire.GetDataResponse{Data: []byte("x")}},
			{Op: wire.OpGetChildren, Response: &wire.ChildrenResponse{Children: []string{"a"}}},
			{Op: wire.OpError, Response: &wire.ErrorResponse{Code: wire.CodeNoNode}},
		}}, &wire.MultiResponse{}},
	}
}

func TestRecordsSurviveTheWire(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			frame := wire.AppendFrame(nil, s.value)
			body, err := wire.ReadFrame(iotest.OneByteReader(bytes.NewReader(frame)), nil, wire.DefaultMaxFrame)
			if err != nil {
				t.Fatal(err)
			}
			rest, err := wire.Decode(body, s.empty)
			if err != nil {
				t.Fatal(err)
			}
			if len(rest) != 0 {
				t.Errorf("%d bytes left", len(rest))
			}
			clear(body) // The record must not refer to the frame.
			if diff := cmp.Diff(s.value, s.empty); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			body := wire.AppendFrame(nil, s.value)[4:]
			for n := range body {
				_, err := wire.Decode(body[:n], s.empty)
				if err == nil && !optionalTail(s.empty, len(body)-n) {
					t.Errorf("%d of %d bytes were accepted", n, len(body))
				}
				if err != nil && !errors.Is(err, wire.ErrMalformed) {
					t.Errorf("%d bytes: %v is not ErrMalformed", n, err)
				}
			}
		})
	}
}

// optionalTail says whether the record may lack that many bytes: handshakes have an optional last byte.
func optionalTail(r wire.Record, missing int) bool {
	switch r.(type) {
	case *wire.ConnectRequest, *wire.ConnectResponse:
		return missing == 1
	default:
		return false
	}
}

func TestReadFrame(t *testing.T) {
	frame := func(size uint32, body string) string {
		return string(binary.BigEndian.AppendUint32(nil, size)) + body
	}
	for _, tt := range []struct {
		name, in, want string
		limit          int
		err            error
	}{
		{"a frame", frame(3, "abcd"), "abc", 3, nil},
		{"an empty frame", frame(0, ""), "", 3, nil},
		{"nothing", "", "", 3, io.EOF},
		{"half a length", "\x00\x00", "", 3, io.ErrUnexpectedEOF},
		{"half a body", frame(3, "ab"), "", 3, io.ErrUnexpectedEOF},
		{"no body", frame(3, ""), "", 3, io.ErrUnexpectedEOF},
		{"too long", frame(4, "abcd"), "", 3, wire.ErrFrameSize},
		{"negative", frame(1<<32-1, "abcd"), "", 3, wire.ErrFrameSize},
		{"a hostile length", frame(1<<31-1, "abcd"), "", 1<<31 - 1, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.ReadFrame(strings.NewReader(tt.in), nil, tt.limit)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if string(got) != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestReadFrameReusesItsBuffer(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 9<<20) // More than is allocated at once.
	e := wire.AppendFrame(nil, &wire.GetDataResponse{Data: big})
	e = wire.AppendFrame(e, &wire.PathRecord{Path: "/next"})
	r := bytes.NewReader(e)
	first, err := wire.ReadFrame(r, nil, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	var data wire.GetDataResponse
	if _, err = wire.Decode(first, &data); err != nil || !bytes.Equal(data.Data, big) {
		t.Fatalf("the large frame is not what was sent: %v", err)
	}
	second, err := wire.ReadFrame(r, first, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	if &first[0] != &second[0] {
		t.Error("the buffer was not used again")
	}
}

func TestImpossibleCounts(t *testing.T) {
	for _, count := range []int32{-2, 1 << 30, 1<<31 - 1} {
		var e wire.Encoder
		e.Int(count)
		for _, r := range []wire.Record{&wire.ChildrenResponse{}, &wire.WhoAmIResponse{}, &wire.GetACLResponse{}} {
			if _, err := wire.Decode(e.Bytes(), r); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%T with count %d: %v", r, count, err)
			}
		}
	}
}

func TestNullsAreEmpty(t *testing.T) {
	var e wire.Encoder
	for range 3 {
		e.Int(-1)
	}
	d := wire.NewDecoder(e.Bytes())
	if s, b, v := d.String(), d.Buffer(), d.Strings(); s != "" || b != nil || v != nil || d.Err() != nil {
		t.Errorf("got %q, %v, %v, %v", s, b, v, d.Err())
	}
}

func TestMultiRefusesWhatItCannotHold(t *testing.T) {
	bad := &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpSync, Request: &wire.PathRecord{Path: "/"}}}}
	if _, err := wire.Decode(wire.AppendFrame(nil, bad)[4:], &wire.MultiRequest{}); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// providers is the answer to a listing of n providers with names of 600 bytes.
func providers(n int) []byte {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%0600d", i)
	}
	return wire.AppendFrame(nil, &wire.Children2Response{Children: names})[4:]
}

func TestALongListIsCopiedOnce(t *testing.T) {
	body := providers(20_000)
	allocs := testing.AllocsPerRun(3, func() {
		var r wire.Children2Response
		if _, err := wire.Decode(body, &r); err != nil || len(r.Children) != 20_000 {
			t.Fatal(err, len(r.Children))
		}
	})
	// The text, the slice, the record, the argument list.
	if allocs > 4 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkDecodeProviders(b *testing.B) {
	body := providers(20_000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var r wire.Children2Response
		if _, err := wire.Decode(body, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTexts(t *testing.T) {
	for got, want := range map[string]string{
		wire.OpGetChildren2.String():      "getChildren2",
		wire.OpAddWatch.String():          "addWatch",
		wire.OpCloseSession.String():      "closeSession",
		wire.Op(10).String():              "op 10",
		wire.Op(999).String():             "op 999",
		wire.CodeNoNode.Error():           "node does not exist",
		wire.CodeSessionExpired.Error():   "session expired",
		wire.CodeUnimplemented.Error():    "operation not known to the server",
		wire.Code(-999).Error():           "error code -999",
		wire.EventNodeCreated.String():    "NodeCreated",
		wire.EventType(99).String():       "event 99",
		fmt.Sprint(wire.CodeOK.Err()):     "<nil>",
		fmt.Sprint(wire.CodeNoAuth.Err()): "not permitted",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
