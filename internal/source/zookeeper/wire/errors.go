package wire

import "strconv"

// Code is the outcome of a request as the server reports it. Every code but CodeOK is an error that errors.Is finds.
type Code int32

// The codes of ZooKeeper.
const (
	CodeOK                       Code = 0
	CodeSystemError              Code = -1
	CodeRuntimeInconsistency     Code = -2
	CodeDataInconsistency        Code = -3
	CodeConnectionLoss           Code = -4
	CodeMarshallingError         Code = -5
	CodeUnimplemented            Code = -6
	CodeOperationTimeout         Code = -7
	CodeBadArguments             Code = -8
	CodeUnknownSession           Code = -12
	CodeNewConfigNoQuorum        Code = -13
	CodeReconfigInProgress       Code = -14
	CodeAPIError                 Code = -100
	CodeNoNode                   Code = -101
	CodeNoAuth                   Code = -102
	CodeBadVersion               Code = -103
	CodeNoChildrenForEphemerals  Code = -108
	CodeNodeExists               Code = -110
	CodeNotEmpty                 Code = -111
	CodeSessionExpired           Code = -112
	CodeInvalidCallback          Code = -113
	CodeInvalidACL               Code = -114
	CodeAuthFailed               Code = -115
	CodeSessionMoved             Code = -118
	CodeNotReadOnly              Code = -119
	CodeEphemeralOnLocalSession  Code = -120
	CodeNoWatcher                Code = -121
	CodeRequestTimeout           Code = -122
	CodeReconfigDisabled         Code = -123
	CodeSessionClosedRequireAuth Code = -124
	CodeQuotaExceeded            Code = -125
	CodeThrottled                Code = -127
)

// Err is nil for CodeOK and the code itself for every other.
func (c Code) Err() error {
	if c == CodeOK {
		return nil
	}
	return c
}

// Error is a short text, such as "node does not exist".
func (c Code) Error() string {
	if s := protocolText(c); s != "" {
		return s
	}
	if s := sessionText(c); s != "" {
		return s
	}
	if s := nodeText(c); s != "" {
		return s
	}
	return "error code " + strconv.Itoa(int(c))
}

// protocolText is the text of the codes about requests and the server.
func protocolText(c Code) string {
	switch c {
	case CodeOK:
		return "ok"
	case CodeSystemError:
		return "system error"
	case CodeRuntimeInconsistency:
		return "runtime inconsistency, or an operation of the same transaction failed"
	case CodeDataInconsistency:
		return "data inconsistency"
	case CodeConnectionLoss:
		return "connection lost"
	case CodeMarshallingError:
		return "marshalling error"
	case CodeUnimplemented:
		return "operation not known to the server"
	case CodeOperationTimeout:
		return "operation timed out"
	case CodeBadArguments:
		return "bad arguments"
	case CodeAPIError:
		return "api error"
	case CodeRequestTimeout:
		return "request timed out"
	case CodeThrottled:
		return "server refuses more requests for now"
	default:
		return ""
	}
}

// sessionText is the text of the codes about sessions.
func sessionText(c Code) string {
	switch c {
	case CodeUnknownSession:
		return "unknown session"
	case CodeSessionExpired:
		return "session expired"
	case CodeAuthFailed:
		return "authentication failed"
	case CodeSessionMoved:
		return "session has moved to another server"
	case CodeSessionClosedRequireAuth:
		return "server requires authentication"
	default:
		return ""
	}
}

// nodeText is the text of the codes about nodes, permissions and watches.
func nodeText(c Code) string {
	switch c {
	case CodeNoNode:
		return "node does not exist"
	case CodeNoAuth:
		return "not permitted"
	case CodeBadVersion:
		return "version does not match"
	case CodeNoChildrenForEphemerals:
		return "ephemeral nodes have no children"
	case CodeNodeExists:
		return "node exists already"
	case CodeNotEmpty:
		return "node has children"
	case CodeInvalidACL:
		return "invalid acl"
	case CodeNotReadOnly:
		return "server is read-only"
	case CodeNoWatcher:
		return "no such watch"
	case CodeQuotaExceeded:
		return "quota exceeded"
	default:
		return ""
	}
}
