package wire

// MultiRequest is several operations that succeed or fail as one (OpMulti), or several reads in one frame, each with an outcome of
// its own (OpMultiRead).
type MultiRequest struct{ Ops []MultiOp }

// MultiOp is one operation of a MultiRequest.
//
//	OpCreate, OpCreate2, OpCreateContainer   *CreateRequest
//	OpCreateTTL                              *CreateTTLRequest
//	OpDelete, OpCheck                        *VersionRequest
//	OpSetData                                *SetDataRequest
//	OpGetData, OpGetChildren                 *ReadRequest    (OpMultiRead)
type MultiOp struct {
	Op      Op
	Request Record
}

// multiHeader stands before each part of a multi; one with Done ends it.
type multiHeader struct {
	Op   Op
	Done bool
	Err  Code
}

// Encode implements Record.
func (h *multiHeader) Encode(e *Encoder) {
	e.Int(int32(h.Op))
	e.Bool(h.Done)
	e.Int(int32(h.Err))
}

// Decode implements Record.
func (h *multiHeader) Decode(d *Decoder) {
	h.Op = Op(d.Int())
	h.Done = d.Bool()
	h.Err = Code(d.Int())
}

// multiEnd is the header behind the last part.
func multiEnd() *multiHeader { return &multiHeader{Op: OpError, Done: true, Err: -1} }

// Encode implements Record.
func (r *MultiRequest) Encode(e *Encoder) {
	for _, op := range r.Ops {
		(&multiHeader{Op: op.Op, Err: -1}).Encode(e)
		op.Request.Encode(e)
	}
	multiEnd().Encode(e)
}

// Decode implements Record.
func (r *MultiRequest) Decode(d *Decoder) {
	r.Ops = nil
	for d.Err() == nil {
		var h multiHeader
		h.Decode(d)
		if h.Done || d.Err() != nil {
			return
		}
		req := multiRequest(h.Op)
		if req == nil {
			d.fail("%s inside a multi", h.Op)
			return
		}
		req.Decode(d)
		r.Ops = append(r.Ops, MultiOp{Op: h.Op, Request: req})
	}
}

// multiRequest is an empty request of an operation that a multi may hold, else nil.
func multiRequest(op Op) Record {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		return &CreateRequest{}
	case OpCreateTTL:
		return &CreateTTLRequest{}
	case OpDelete, OpCheck:
		return &VersionRequest{}
	case OpSetData:
		return &SetDataRequest{}
	case OpGetData, OpGetChildren:
		return &ReadRequest{}
	default:
		return nil
	}
}

// MultiResponse answers a MultiRequest, one result for each operation.
type MultiResponse struct{ Results []MultiResult }

// MultiResult is the outcome of one operation of a multi.
//
//	OpCreate            *PathRecord
//	OpCreate2           *Create2Response   (of OpCreateContainer and OpCreateTTL too)
//	OpSetData           *Stat
//	OpDelete, OpCheck   nil
//	OpGetData           *GetDataResponse
//	OpGetChildren       *ChildrenResponse
//	OpError             *ErrorResponse
//
// When a multi failed every result is OpError: CodeOK before the operation that failed, its code, CodeRuntimeInconsistency behind it.
type MultiResult struct {
	Op       Op
	Response Record
}

// Encode implements Record.
func (r *MultiResponse) Encode(e *Encoder) {
	for _, res := range r.Results {
		h := multiHeader{Op: res.Op}
		if failed, ok := res.Response.(*ErrorResponse); ok {
			h.Err = failed.Code
		}
		h.Encode(e)
		if res.Response != nil {
			res.Response.Encode(e)
		}
	}
	multiEnd().Encode(e)
}

// Decode implements Record.
func (r *MultiResponse) Decode(d *Decoder) {
	r.Results = nil
	for d.Err() == nil {
		var h multiHeader
		h.Decode(d)
		if h.Done || d.Err() != nil {
			return
		}
		resp, ok := multiResponse(h.Op)
		if !ok {
			d.fail("the answer to %s inside a multi", h.Op)
			return
		}
		if resp != nil {
			resp.Decode(d)
		}
		r.Results = append(r.Results, MultiResult{Op: h.Op, Response: resp})
	}
}

// multiResponse is an empty response to an operation that a multi may hold; nil for those that have no body.
func multiResponse(op Op) (Record, bool) {
	switch op {
	case OpCreate:
		return &PathRecord{}, true
	case OpCreate2:
		return &Create2Response{}, true
	case OpSetData:
		return &Stat{}, true
	case OpDelete, OpCheck:
		return nil, true
	case OpGetData:
		return &GetDataResponse{}, true
	case OpGetChildren:
		return &ChildrenResponse{}, true
	case OpError:
		return &ErrorResponse{}, true
	default:
		return nil, false
	}
}
