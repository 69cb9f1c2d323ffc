package wire

// WatcherEvent tells that a watched node changed. It is sent with XidNotification.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  string
}

// Encode implements Record.
func (r *WatcherEvent) Encode(e *Encoder) {
	e.Int(int32(r.Type))
	e.Int(r.State)
	e.String(r.Path)
}

// Decode implements Record.
func (r *WatcherEvent) Decode(d *Decoder) {
	r.Type = EventType(d.Int())
	r.State = d.Int()
	r.Path = d.String()
}

// SetWatches registers the one-shot watches of a session again after a reconnect (OpSetWatches). The server fires at once those
// whose node changed after RelativeZxid.
type SetWatches struct {
	RelativeZxid       int64
	Data, Exist, Child []string
}

// Encode implements Record.
func (r *SetWatches) Encode(e *Encoder) {
	e.Long(r.RelativeZxid)
	e.Strings(r.Data)
	e.Strings(r.Exist)
	e.Strings(r.Child)
}

// Decode implements Record.
func (r *SetWatches) Decode(d *Decoder) {
	r.RelativeZxid = d.Long()
	r.Data = d.Strings()
	r.Exist = d.Strings()
	r.Child = d.Strings()
}

// SetWatches2 is SetWatches with the watches that stay (OpSetWatches2, since 3.6). Those are only registered: nothing that they
// missed is told.
type SetWatches2 struct {
	SetWatches

	Persistent, PersistentRecursive []string
}

// Encode implements Record.
func (r *SetWatches2) Encode(e *Encoder) {
	r.SetWatches.Encode(e)
	e.Strings(r.Persistent)
	e.Strings(r.PersistentRecursive)
}

// Decode implements Record.
func (r *SetWatches2) Decode(d *Decoder) {
	r.SetWatches.Decode(d)
	r.Persistent = d.Strings()
	r.PersistentRecursive = d.Strings()
}

// AddWatchRequest registers a watch that stays (OpAddWatch, since 3.6). The answer is an ErrorResponse with CodeOK.
type AddWatchRequest struct {
	Path string
	Mode AddWatchMode
}

// Encode implements Record.
func (r *AddWatchRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(int32(r.Mode))
}

// Decode implements Record.
func (r *AddWatchRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Mode = AddWatchMode(d.Int())
}

// WatchesRequest removes watches of the session, or asks whether it has them (OpRemoveWatches, OpCheckWatches). The answer is a
// header alone: CodeNoWatcher when there is none.
type WatchesRequest struct {
	Path string
	Type WatcherType
}

// Encode implements Record.
func (r *WatchesRequest) Encode(e *Encoder) {
	e.String(r.Path)
	e.Int(int32(r.Type))
}

// Decode implements Record.
func (r *WatchesRequest) Decode(d *Decoder) {
	r.Path = d.String()
	r.Type = WatcherType(d.Int())
}

// ErrorResponse is a code as the body of an answer.
type ErrorResponse struct{ Code Code }

// Encode implements Record.
func (r *ErrorResponse) Encode(e *Encoder) { e.Int(int32(r.Code)) }

// Decode implements Record.
func (r *ErrorResponse) Decode(d *Decoder) { r.Code = Code(d.Int()) }
