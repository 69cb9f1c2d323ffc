package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/wire"
)

// FuzzDecode: any bytes decode into any record or are refused, and what was decoded is encoded to bytes that decode to the same.
func FuzzDecode(f *testing.F) {
	all := samples()
	fresh := func(which uint8) wire.Record {
		r, ok := reflect.TypeAssert[wire.Record](reflect.New(reflect.TypeOf(all[int(which)%len(all)].empty).Elem()))
		if !ok {
			panic("not a record")
		}
		return r
	}
	for i, s := range all {
		f.Add(uint8(i), wire.AppendFrame(nil, s.value)[4:])
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		first := fresh(which)
		if _, err := wire.Decode(body, first); err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		once := wire.AppendFrame(nil, first)
		second := fresh(which)
		if _, err := wire.Decode(once[4:], second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once, wire.AppendFrame(nil, second)) {
			t.Error("not the same after a second pass")
		}
	})
}

// FuzzReadFrame: any stream is read to frames or refused, without memory for bytes that do not come.
func FuzzReadFrame(f *testing.F) {
	f.Add(wire.AppendFrame(nil, &wire.PathRecord{Path: "/a"}))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		var buf []byte
		for {
			body, err := wire.ReadFrame(r, buf, wire.DefaultMaxFrame)
			if err != nil {
				return
			}
			if len(body) > len(stream) {
				t.Fatalf("%d bytes out of %d", len(body), len(stream))
			}
			buf = body
		}
	})
}
