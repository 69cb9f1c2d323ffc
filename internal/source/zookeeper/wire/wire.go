// Package wire is the client protocol of Apache ZooKeeper: frames, the jute encoding, and the records that a client and a server
// exchange. It knows nothing of connections, sessions or watches.
//
// A connection carries frames in both directions, each an int32 length and that many bytes:
//
//	client -> server   ConnectRequest,  then  RequestHeader + request   …
//	server -> client   ConnectResponse, then  ReplyHeader + response    … (only the header when ReplyHeader.Err is not CodeOK)
//	                                          ReplyHeader{Xid: XidNotification} + WatcherEvent, at any time
//
// Decoding never panics, and allocates at most a small multiple of the bytes that were really received, whatever lengths they
// claim.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Errors of the decoder. They are wrapped with what was being read.
var (
	// ErrFrameSize: a frame's length is negative or above the limit of the reader.
	ErrFrameSize = errors.New("frame length out of range")
	// ErrMalformed: the bytes of a frame are not what they should be: too short, or a length inside is impossible.
	ErrMalformed = errors.New("malformed record")
)

// DefaultMaxFrame is the default limit of the Java client and server for one frame (jute.maxbuffer, 0xfffff). A server sends
// larger replies than it accepts requests.
const DefaultMaxFrame = 0xfffff

// firstRead bounds what is allocated on the word of a length prefix alone; beyond it the buffer grows as bytes arrive.
const firstRead = 4 << 20

// ReadFrame reads one frame and returns its body, which may use the memory of buf (nil is allowed) and is valid until buf is used
// again. A length below 0 or above limit is ErrFrameSize; the end of the stream before the first byte is io.EOF, and within the
// frame io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader, buf []byte, limit int) ([]byte, error) {
	buf = slices.Grow(buf[:0], 4)[:4]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(buf))) //nolint:gosec // the wire's length is signed
	if size < 0 || size > limit {
		return nil, fmt.Errorf("%w: %d, limit %d", ErrFrameSize, size, limit)
	}
	buf = buf[:0]
	for len(buf) < size {
		at, want := len(buf), min(size-len(buf), max(firstRead, len(buf)))
		buf = slices.Grow(buf, want)[:at+want]
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return buf, nil
}

// AppendFrame appends to dst one frame that holds the records, and returns the result.
func AppendFrame(dst []byte, records ...Record) []byte {
	at := len(dst)
	e := Encoder{buf: append(dst, 0, 0, 0, 0)}
	for _, r := range records {
		r.Encode(&e)
	}
	binary.BigEndian.PutUint32(e.buf[at:], uint32(len(e.buf)-at-4)) //nolint:gosec // a frame in memory is far below 4 GiB
	return e.buf
}

// Decode fills the records, one after the other, from the body of a frame and returns the bytes that are left. Bytes behind the
// last known field are no error: newer peers may append fields. The records keep no reference to body.
func Decode(body []byte, records ...Record) (rest []byte, err error) {
	d := Decoder{buf: body}
	for _, r := range records {
		r.Decode(&d)
		if d.err != nil {
			return nil, fmt.Errorf("decode %T at byte %d: %w", r, d.off, d.err)
		}
	}
	return d.buf[d.off:], nil
}

// Record is a value that has a jute encoding.
type Record interface {
	// Encode appends the record.
	Encode(e *Encoder)
	// Decode fills the record. After an error of d the record's content is undefined.
	Decode(d *Decoder)
}

// Encoder appends jute values to a buffer. The zero value is ready for use.
type Encoder struct{ buf []byte }

// Bytes is everything that was encoded so far. It is valid until the next value is added.
func (e *Encoder) Bytes() []byte { return e.buf }

// Bool appends a boolean.
func (e *Encoder) Bool(v bool) {
	if v {
		e.buf = append(e.buf, 1)
		return
	}
	e.buf = append(e.buf, 0)
}

// Int appends an int32.
func (e *Encoder) Int(v int32) {
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) //nolint:gosec // two's complement is the encoding
}

// Long appends an int64.
func (e *Encoder) Long(v int64) {
	e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) //nolint:gosec // two's complement is the encoding
}

// Buffer appends a byte string; nil is encoded as the null buffer, which is not the empty one.
func (e *Encoder) Buffer(v []byte) {
	if v == nil {
		e.Int(-1)
		return
	}
	e.length(len(v))
	e.buf = append(e.buf, v...)
}

// String appends a text.
func (e *Encoder) String(v string) {
	e.length(len(v))
	e.buf = append(e.buf, v...)
}

// Strings appends a vector of texts.
func (e *Encoder) Strings(v []string) {
	e.length(len(v))
	for _, s := range v {
		e.String(s)
	}
}

// length appends a count that is known to be small: everything that is encoded was in memory before.
func (e *Encoder) length(n int) {
	e.Int(int32(min(n, math.MaxInt32))) //nolint:gosec // bounded by min
}

// Decoder reads jute values from the body of a frame. After the first error every method returns the zero value.
type Decoder struct {
	buf []byte
	// text is the whole of buf as a string, made when the first vector of texts is read, so that a long vector is copied once and
	// in one piece.
	text string
	off  int
	err  error
}

// NewDecoder returns a decoder of body, which must not change while it is in use.
func NewDecoder(body []byte) *Decoder { return &Decoder{buf: body} }

// Err is the first error, wrapping ErrMalformed, or nil.
func (d *Decoder) Err() error { return d.err }

// Len is the number of bytes that are left.
func (d *Decoder) Len() int { return len(d.buf) - d.off }

// Bool reads a boolean: any byte but 0 is true.
func (d *Decoder) Bool() bool {
	b := d.take(1)
	return len(b) == 1 && b[0] != 0
}

// Int reads an int32.
func (d *Decoder) Int() int32 {
	b := d.take(4)
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b)) //nolint:gosec // two's complement is the encoding
}

// Long reads an int64.
func (d *Decoder) Long() int64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // two's complement is the encoding
}

// Buffer reads a byte string into memory of its own; the null buffer is nil.
func (d *Decoder) Buffer() []byte {
	n := d.Int()
	if n == -1 || d.err != nil {
		return nil
	}
	b := d.take(int(n))
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// String reads a text; a null text is "". The text is what was sent, which need not be UTF-8.
func (d *Decoder) String() string {
	n := d.Int()
	if n == -1 || d.err != nil {
		return ""
	}
	at := d.off
	b := d.take(int(n))
	if d.text != "" {
		return d.text[at:d.off]
	}
	return string(b)
}

// Strings reads a vector of texts; a null vector is nil. All texts share one piece of memory as large as the frame: a caller that
// keeps a few of many should clone those.
func (d *Decoder) Strings() []string {
	n := d.Count(4)
	if n <= 0 {
		return nil
	}
	if d.text == "" {
		d.text = string(d.buf)
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.String())
	}
	if d.err != nil {
		return nil
	}
	return list
}

// Count reads the length of a vector whose elements take at least elemSize bytes each; a null vector counts as empty. A length that
// the remaining bytes cannot hold is an error, so that a caller may allocate by the result.
func (d *Decoder) Count(elemSize int) int {
	n := int(d.Int())
	if n == -1 || d.err != nil {
		return 0
	}
	if n < 0 || n > d.Len()/elemSize {
		d.fail("a vector of %d elements in %d bytes", n, d.Len())
		return 0
	}
	return n
}

// fail records the first error.
func (d *Decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
}

// take returns the next n bytes, or nil after an error; n == 0 gives an empty, not a nil, slice.
func (d *Decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > d.Len() {
		d.fail("%d bytes wanted, %d left", n, d.Len())
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}
