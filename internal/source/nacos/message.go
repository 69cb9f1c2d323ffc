package nacos

import (
	"encoding/json"
	"fmt"
	"strings"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"github.com/nacos-group/nacos-sdk-go/v2/common/remote/rpc/rpc_request"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

// The requests of the server that mean something here.
const (
	typeNotify    = "NotifySubscriberRequest"
	typeReset     = "ConnectResetRequest"
	typeDetection = "ClientDetectionRequest"
)

// Codes of failed answers.
const (
	codeSuccess      = 200
	codeNotReady     = 300 // To 399: the server starts.
	codeUnregistered = 301
	codeNoRight      = 403
	codeNotFound     = 404
)

// setupRequest is the client library's, with what servers of version 3 want besides.
type setupRequest struct {
	*rpc_request.ConnectionSetupRequest

	AbilityTable map[string]bool `json:"abilityTable"`
}

// replyHead is what every answer begins with.
type replyHead struct {
	ResultCode int    `json:"resultCode"`
	ErrorCode  int    `json:"errorCode"`
	Message    string `json:"message"`
}

// serverCheck is the answer to the first request of a connection.
type serverCheck struct {
	replyHead

	ConnectionID string `json:"connectionId"`
}

// serviceList is the answer to a ServiceListRequest.
type serviceList struct {
	replyHead

	Count int `json:"count"`
	// ServiceNames is nil when the answer does not have it.
	ServiceNames []string `json:"serviceNames"`
}

// serviceAnswer is what holds the instances of a service: the answer to a SubscribeServiceRequest or a ServiceQueryRequest, and the push.
type serviceAnswer struct {
	replyHead

	ServiceInfo *serviceInfo `json:"serviceInfo"`
}

// serviceInfo is a service as the server sees it at a moment of its clock.
type serviceInfo struct {
	Name      string `json:"name"`
	GroupName string `json:"groupName"`
	// LastRefTime is the time of the answer in milliseconds of the server's clock.
	LastRefTime int64 `json:"lastRefTime"`
	// Hosts is nil when the answer does not have it. Each is read by itself, so that one that makes no sense stays alone.
	Hosts []json.RawMessage `json:"hosts"`
	// ReachProtectionThreshold says that too few instances are healthy, so that the server calls all of them healthy.
	ReachProtectionThreshold bool `json:"reachProtectionThreshold"`
}

// pushHead is what the requests of a server begin with.
type pushHead struct {
	RequestID string `json:"requestId"`
}

// resetRequest asks to connect to another server; to any other when ServerIP is empty.
type resetRequest struct {
	ServerIP string `json:"serverIp"`
}

// ack is the answer to a request of the server.
type ack struct {
	ResultCode int    `json:"resultCode"`
	ErrorCode  int    `json:"errorCode"`
	Success    bool   `json:"success"`
	RequestID  string `json:"requestId"`
}

// payloadOf wraps a request.
func payloadOf(r rpc_request.IRequest) *grpcapi.Payload {
	return &grpcapi.Payload{
		Metadata: &grpcapi.Metadata{Type: r.GetRequestType(), Headers: r.GetHeaders()},
		Body:     &anypb.Any{Value: []byte(r.GetBody(r))},
	}
}

// ackOf returns the answer to a request of the server. It is nil for a kind that is not known, which the server then asks in vain, and for
// the SetupAckRequest of version 3, which waits for no answer.
func ackOf(p *grpcapi.Payload) *grpcapi.Payload {
	name := p.GetMetadata().GetType()
	switch name {
	case typeNotify, typeReset, typeDetection:
	default:
		return nil
	}
	var head pushHead
	if err := json.Unmarshal(p.GetBody().GetValue(), &head); err != nil {
		return nil
	}
	body, err := json.Marshal(ack{ResultCode: codeSuccess, Success: true, RequestID: head.RequestID})
	if err != nil {
		return nil
	}
	return &grpcapi.Payload{
		Metadata: &grpcapi.Metadata{Type: strings.TrimSuffix(name, "Request") + "Response"},
		Body:     &anypb.Any{Value: body},
	}
}

// refusalError is an answer that is none.
type refusalError struct {
	code int
	text string
}

// Error implements error.
func (e *refusalError) Error() string { return fmt.Sprintf("code %d: %s", e.code, e.text) }

// decode reads an answer, or says in which class its failure is.
func decode(p *grpcapi.Payload, into any) error {
	var head replyHead
	body := p.GetBody().GetValue()
	if err := json.Unmarshal(body, &head); err != nil {
		return fmt.Errorf("%w: the answer is no JSON object: %w", source.ErrMalformed, err)
	}
	if head.ResultCode != codeSuccess {
		code := head.ErrorCode
		if code == 0 {
			code = head.ResultCode
		}
		refusal := &refusalError{code: code, text: shortText(head.Message)}
		switch {
		case code == codeNoRight:
			return fmt.Errorf("%w: %w", source.ErrUnauthorized, refusal)
		case head.ResultCode == 0 && head.ErrorCode == 0:
			return fmt.Errorf("%w: the answer has no result", source.ErrMalformed)
		}
		return fmt.Errorf("%w: %w", source.ErrUnavailable, refusal)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", source.ErrMalformed, err)
	}
	return nil
}

// maxText is how much of a server's text is repeated in an error.
const maxText = 200

// shortText makes one short line of a server's text.
func shortText(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText]) + "…"
	}
	return text
}
