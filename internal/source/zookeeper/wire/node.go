package wire

// Stat is what the server knows of a node besides its data. Times are milliseconds since 1970.
type Stat struct {
	Czxid, Mzxid                int64
	Ctime, Mtime                int64
	Version, Cversion, Aversion int32
	// EphemeralOwner is the session of an ephemeral node, else 0.
	EphemeralOwner          int64
	DataLength, NumChildren int32
	// Pzxid is the transaction that last changed the list of children.
	Pzxid int64
}

// Encode implements Record.
func (s *Stat) Encode(e *Encoder) {
	e.Long(s.Czxid)
	e.Long(s.Mzxid)
	e.Long(s.Ctime)
	e.Long(s.Mtime)
	e.Int(s.Version)
	e.Int(s.Cversion)
	e.Int(s.Aversion)
	e.Long(s.EphemeralOwner)
	e.Int(s.DataLength)
	e.Int(s.NumChildren)
	e.Long(s.Pzxid)
}

// Decode implements Record.
func (s *Stat) Decode(d *Decoder) {
	s.Czxid, s.Mzxid = d.Long(), d.Long()
	s.Ctime, s.Mtime = d.Long(), d.Long()
	s.Version, s.Cversion, s.Aversion = d.Int(), d.Int(), d.Int()
	s.EphemeralOwner = d.Long()
	s.DataLength, s.NumChildren = d.Int(), d.Int()
	s.Pzxid = d.Long()
}

// ACL grants permissions, an or of Perm values, to one identity.
type ACL struct {
	Perms      int32
	Scheme, ID string
}

// WorldAll is the ACL that allows everything to everybody.
func WorldAll() []ACL { return []ACL{{Perms: PermAll, Scheme: "world", ID: "anyone"}} }

func encodeACLs(e *Encoder, list []ACL) {
	e.length(len(list))
	for _, a := range list {
		e.Int(a.Perms)
		e.String(a.Scheme)
		e.String(a.ID)
	}
}

func decodeACLs(d *Decoder) []ACL {
	n := d.Count(12)
	list := make([]ACL, n)
	for i := range list {
		list[i] = ACL{Perms: d.Int(), Scheme: d.String(), ID: d.String()}
	}
	return list
}

// CreateRequest makes a node (OpCreate, OpCreate2, OpCreateContainer).
type CreateRequest struct {
	Path string
	Data []byte
	ACL  []ACL
	Mode CreateMode
}

// Encode implements Record.
func (r *CreateRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	encodeACLs(e, r.ACL)
	e.Int(int32(r.Mode))
}

// Decode implements Record.
func (r *CreateRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.ACL = decodeACLs(d)
	r.Mode = CreateMode(d.Int())
}

// CreateTTLRequest makes a node with a time to live in milliseconds (OpCreateTTL).
type CreateTTLRequest struct {
	CreateRequest

	TTL int64
}

// Encode implements Record.
func (r *CreateTTLRequest) Encode(e *Encoder) {
	r.CreateRequest.Encode(e)
	e.Long(r.TTL)
}

// Decode implements Record.
func (r *CreateTTLRequest) Decode(d *Decoder) {
	r.CreateRequest.Decode(d)
	r.TTL = d.Long()
}

// Create2Response names the new node with its number, if it has one, and its Stat (all forms of create but OpCreate, whose answer is
// a PathRecord).
type Create2Response struct {
	Path string
	Stat Stat
}

// Encode implements Record.
func (r *Create2Response) Encode(e *Encoder) {
	e.String(r.Path)
	r.Stat.Encode(e)
}

// Decode implements Record.
func (r *Create2Response) Decode(d *Decoder) {
	r.Path = d.String()
	r.Stat.Decode(d)
}

// PathRecord is a path alone: the requests OpGetACL, OpSync, OpGetEphemerals (a prefix) and OpGetAllChildrenNumber, and the answers
// to OpCreate and OpSync.
type PathRecord struct{ Path string }

// Encode implements Record.
func (r *PathRecord) Encode(e *Encoder) { e.String(r.Path) }

// Decode implements Record.
func (r *PathRecord) Decode(d *Decoder) { r.Path = d.String() }

// ReadRequest reads a node and, with Watch, leaves a one-shot watch (OpExists, OpGetData, OpGetChildren, OpGetChildren2).
type ReadRequest struct {
	Path  string
	Watch bool
}

// Encode implements Record.
func (r *ReadRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Bool(r.Watch)
}

// Decode implements Record.
func (r *ReadRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Watch = d.Bool()
}

// VersionRequest names a node and the version that it must have, or -1 for any (OpDelete, OpCheck).
type VersionRequest struct {
	Path    string
	Version int32
}

// Encode implements Record.
func (r *VersionRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(r.Version)
}

// Decode implements Record.
func (r *VersionRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Version = d.Int()
}

// SetDataRequest replaces the data of a node that has Version, or any with -1. The answer is a Stat.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32
}

// Encode implements Record.
func (r *SetDataRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Buffer(r.Data)
	e.Int(r.Version)
}

// Decode implements Record.
func (r *SetDataRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Data = d.Buffer()
	r.Version = d.Int()
}

// SetACLRequest replaces the ACL of a node whose ACL has Version (Stat.Aversion), or any with -1. The answer is a Stat.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32
}

// Encode implements Record.
func (r *SetACLRequest) Encode(e *Encoder) {
	e.String(r.Path)
	encodeACLs(e, r.ACL)
	e.Int(r.Version)
}

// Decode implements Record.
func (r *SetACLRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.ACL = decodeACLs(d)
	r.Version = d.Int()
}

// GetACLResponse answers OpGetACL.
type GetACLResponse struct {
	ACL  []ACL
	Stat Stat
}

// Encode implements Record.
func (r *GetACLResponse) Encode(e *Encoder) {
	encodeACLs(e, r.ACL)
	r.Stat.Encode(e)
}

// Decode implements Record.
func (r *GetACLResponse) Decode(d *Decoder) {
	r.ACL = decodeACLs(d)
	r.Stat.Decode(d)
}

// GetDataResponse answers OpGetData.
type GetDataResponse struct {
	Data []byte
	Stat Stat
}

// Encode implements Record.
func (r *GetDataResponse) Encode(e *Encoder) {
	e.Buffer(r.Data)
	r.Stat.Encode(e)
}

// Decode implements Record.
func (r *GetDataResponse) Decode(d *Decoder) {
	r.Data = d.Buffer()
	r.Stat.Decode(d)
}

// ChildrenResponse answers OpGetChildren and OpGetEphemerals. The names share memory, see Decoder.Strings.
type ChildrenResponse struct{ Children []string }

// Encode implements Record.
func (r *ChildrenResponse) Encode(e *Encoder) { e.Strings(r.Children) }

// Decode implements Record.
func (r *ChildrenResponse) Decode(d *Decoder) { r.Children = d.Strings() }

// Children2Response answers OpGetChildren2. The names share memory, see Decoder.Strings.
type Children2Response struct {
	Children []string
	Stat     Stat
}

// Encode implements Record.
func (r *Children2Response) Encode(e *Encoder) {
	e.Strings(r.Children)
	r.Stat.Encode(e)
}

// Decode implements Record.
func (r *Children2Response) Decode(d *Decoder) {
	r.Children = d.Strings()
	r.Stat.Decode(d)
}

// CountResponse answers OpGetAllChildrenNumber.
type CountResponse struct{ Count int32 }

// Encode implements Record.
func (r *CountResponse) Encode(e *Encoder) { e.Int(r.Count) }

// Decode implements Record.
func (r *CountResponse) Decode(d *Decoder) { r.Count = d.Int() }
