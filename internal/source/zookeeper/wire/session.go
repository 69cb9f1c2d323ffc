package wire

// ConnectRequest opens a connection: a new session when SessionID is 0, else the named one again.
type ConnectRequest struct {
	ProtocolVersion int32
	// LastZxidSeen is the highest transaction that the client has seen; a server that has not seen it yet refuses the client.
	LastZxidSeen int64
	// Timeout is the wanted session timeout in milliseconds. The server answers with 2 to 20 times its tick.
	Timeout   int32
	SessionID int64
	Password  []byte
	// ReadOnly allows a server that lost its quorum. Clients before 3.4 do not send it: then HasReadOnly is false.
	ReadOnly    bool
	HasReadOnly bool
}

// Encode implements Record.
func (r *ConnectRequest) Encode(e *Encoder) {
	e.Int(r.ProtocolVersion)
	e.Long(r.LastZxidSeen)
	e.Int(r.Timeout)
	e.Long(r.SessionID)
	e.Buffer(r.Password)
	if r.HasReadOnly {
		e.Bool(r.ReadOnly)
	}
}

// Decode implements Record.
func (r *ConnectRequest) Decode(d *Decoder) {
	r.ProtocolVersion = d.Int()
	r.LastZxidSeen = d.Long()
	r.Timeout = d.Int()
	r.SessionID = d.Long()
	r.Password = d.Buffer()
	r.HasReadOnly = d.Err() == nil && d.Len() > 0
	r.ReadOnly = r.HasReadOnly && d.Bool()
}

// ConnectResponse answers a ConnectRequest. A session that is no longer known is answered with a Timeout of 0 or less, and the
// connection is closed.
type ConnectResponse struct {
	ProtocolVersion int32
	// Timeout is the session timeout in milliseconds.
	Timeout   int32
	SessionID int64
	Password  []byte
	// ReadOnly is set by a server that lost its quorum. Servers before 3.4 do not send it: then HasReadOnly is false.
	ReadOnly    bool
	HasReadOnly bool
}

// Encode implements Record.
func (r *ConnectResponse) Encode(e *Encoder) {
	e.Int(r.ProtocolVersion)
	e.Int(r.Timeout)
	e.Long(r.SessionID)
	e.Buffer(r.Password)
	if r.HasReadOnly {
		e.Bool(r.ReadOnly)
	}
}

// Decode implements Record.
func (r *ConnectResponse) Decode(d *Decoder) {
	r.ProtocolVersion = d.Int()
	r.Timeout = d.Int()
	r.SessionID = d.Long()
	r.Password = d.Buffer()
	r.HasReadOnly = d.Err() == nil && d.Len() > 0
	r.ReadOnly = r.HasReadOnly && d.Bool()
}

// RequestHeader stands before every request.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// Encode implements Record.
func (r *RequestHeader) Encode(e *Encoder) {
	e.Int(r.Xid)
	e.Int(int32(r.Op))
}

// Decode implements Record.
func (r *RequestHeader) Decode(d *Decoder) {
	r.Xid = d.Int()
	r.Op = Op(d.Int())
}

// ReplyHeader stands before every response and every event.
type ReplyHeader struct {
	Xid int32
	// Zxid is the server's newest transaction. Of events it is the transaction that caused the event since 3.9.0, and -1 before.
	Zxid int64
	Err  Code
}

// Encode implements Record.
func (r *ReplyHeader) Encode(e *Encoder) {
	e.Int(r.Xid)
	e.Long(r.Zxid)
	e.Int(int32(r.Err))
}

// Decode implements Record.
func (r *ReplyHeader) Decode(d *Decoder) {
	r.Xid = d.Int()
	r.Zxid = d.Long()
	r.Err = Code(d.Int())
}

// AuthRequest adds an identity to the session; it is sent with XidAuth and answered by a header alone.
type AuthRequest struct {
	Type   int32
	Scheme string
	// Auth is the secret, "user:password" for the scheme digest.
	Auth []byte
}

// Encode implements Record.
func (r *AuthRequest) Encode(e *Encoder) {
	e.Int(r.Type)
	e.String(r.Scheme)
	e.Buffer(r.Auth)
}

// Decode implements Record.
func (r *AuthRequest) Decode(d *Decoder) {
	r.Type = d.Int()
	r.Scheme = d.String()
	r.Auth = d.Buffer()
}

// ClientInfo is one identity of a session.
type ClientInfo struct{ Scheme, User string }

// WhoAmIResponse lists the identities of the session.
type WhoAmIResponse struct{ Identities []ClientInfo }

// Encode implements Record.
func (r *WhoAmIResponse) Encode(e *Encoder) {
	e.length(len(r.Identities))
	for _, c := range r.Identities {
		e.String(c.Scheme)
		e.String(c.User)
	}
}

// Decode implements Record.
func (r *WhoAmIResponse) Decode(d *Decoder) {
	n := d.Count(8)
	r.Identities = make([]ClientInfo, n)
	for i := range r.Identities {
		r.Identities[i] = ClientInfo{Scheme: d.String(), User: d.String()}
	}
}
