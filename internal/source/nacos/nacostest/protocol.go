package nacostest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // It is what the protocol has.
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"

	grpcapi "github.com/nacos-group/nacos-sdk-go/v2/api/grpc"
	"github.com/nacos-group/nacos-sdk-go/v2/common/remote/rpc/rpc_request"
	"google.golang.org/protobuf/types/known/anypb"
)

// service is both services of the protocol.
type service struct {
	grpcapi.UnimplementedRequestServer
	grpcapi.UnimplementedBiRequestStreamServer

	server *Server
}

// serviceInfo is a service on the wire.
type serviceInfo struct {
	Name                     string `json:"name"`
	GroupName                string `json:"groupName"`
	Clusters                 string `json:"clusters"`
	CacheMillis              int64  `json:"cacheMillis"`
	LastRefTime              int64  `json:"lastRefTime"`
	Checksum                 string `json:"checksum"`
	AllIPs                   bool   `json:"allIPs"`
	ReachProtectionThreshold bool   `json:"reachProtectionThreshold"`
	Valid                    bool   `json:"valid"`
	Hosts                    []any  `json:"hosts"`
}

func (s *Server) info(key Key) serviceInfo {
	hosts, protected := s.registry.hosts(key)
	return serviceInfo{
		Name: key.Name, GroupName: key.Group, CacheMillis: 10_000, LastRefTime: s.now(), ReachProtectionThreshold: protected, Valid: true, Hosts: hosts,
	}
}

func payload(kind string, body any) *grpcapi.Payload {
	text, ok := body.(string)
	if !ok {
		encoded, err := json.Marshal(body)
		if err != nil {
			encoded = []byte(err.Error())
		}
		text = string(encoded)
	}
	return &grpcapi.Payload{Metadata: &grpcapi.Metadata{Type: kind}, Body: &anypb.Any{Value: []byte(text)}}
}

// success is the body of an answer, with fields of its own.
func success(fields map[string]any) map[string]any {
	body := map[string]any{"resultCode": 200, "errorCode": 0, "success": true, "message": nil, "requestId": nil}
	maps.Copy(body, fields)
	return body
}

func refusal(code int, message string) *grpcapi.Payload {
	a := Refuse(code, message)
	return payload(a.Type, a.Body)
}

// request is what requests have that this server knows.
type request struct {
	Namespace   string     `json:"namespace"`
	ServiceName string     `json:"serviceName"`
	GroupName   string     `json:"groupName"`
	PageNo      int        `json:"pageNo"`
	PageSize    int        `json:"pageSize"`
	Subscribe   bool       `json:"subscribe"`
	Type        string     `json:"type"`
	Instance    Instance   `json:"instance"`
	Instances   []Instance `json:"instances"`
}

func (r request) key() Key { return Key{r.Namespace, r.GroupName, r.ServiceName} }

// Request implements the unary service.
func (v service) Request(ctx context.Context, p *grpcapi.Payload) (*grpcapi.Payload, error) {
	s, kind := v.server, p.GetMetadata().GetType()
	latency, end := s.begin(kind)
	defer end()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	var r request
	if err := json.Unmarshal(p.GetBody().GetValue(), &r); err != nil {
		return refusal(http.StatusInternalServerError, err.Error()), nil
	}
	if a, ok := s.intercepted(kind, r.ServiceName); ok {
		return payload(a.Type, a.Body), a.Err
	}
	s.mu.Lock()
	starting := s.starting
	s.mu.Unlock()
	if starting {
		return refusal(http.StatusMultipleChoices, "Server is starting,please try later."), nil
	}
	if kind == rpc_request.NewServerCheckRequest().GetRequestType() {
		return payload("ServerCheckResponse", success(map[string]any{
			"connectionId": peerOf(ctx), "supportAbilityNegotiation": s.opts.Version >= 3,
		})), nil
	}
	c := s.connection(peerOf(ctx))
	if c == nil {
		return refusal(http.StatusMovedPermanently, "Connection is unregistered."), nil
	}
	if kind == rpc_request.NewHealthCheckRequest().GetRequestType() {
		return payload("HealthCheckResponse", success(nil)), nil
	}
	if !s.allowed(p.GetMetadata().GetHeaders()) {
		return refusal(http.StatusForbidden, "user not found!"), nil
	}
	return v.naming(c, kind, r), nil
}

// naming answers what is about services.
func (v service) naming(c *connection, kind string, r request) *grpcapi.Payload {
	s := v.server
	switch kind {
	case "ServiceListRequest":
		names := s.registry.names(r.Namespace, r.GroupName)
		size := r.PageSize
		if s.opts.MaxPage > 0 {
			size = min(size, s.opts.MaxPage)
		}
		first := min(max(r.PageNo-1, 0)*size, len(names))
		return payload("ServiceListResponse", success(map[string]any{"count": len(names), "serviceNames": names[first:min(first+size, len(names))]}))
	case "SubscribeServiceRequest":
		if !r.Subscribe {
			c.unsubscribe(r.key())
			return payload("SubscribeServiceResponse", success(map[string]any{"serviceInfo": nil}))
		}
		info := s.info(r.key())
		if c.subscribe(r.key()) {
			s.pushTo(c, r.key()) // A real server does, beside its answer.
		}
		return payload("SubscribeServiceResponse", success(map[string]any{"serviceInfo": info}))
	case "ServiceQueryRequest":
		return payload("QueryServiceResponse", success(map[string]any{"serviceInfo": s.info(r.key())}))
	case "InstanceRequest":
		var list []Instance
		if r.Type == "registerInstance" {
			list = append(list, r.Instance)
		}
		s.publish(c, r.key(), list)
		return payload("InstanceResponse", success(map[string]any{"type": r.Type}))
	case "BatchInstanceRequest":
		s.publish(c, r.key(), r.Instances)
		return payload("BatchInstanceResponse", success(map[string]any{"type": r.Type}))
	}
	return refusal(http.StatusFound, "RequestHandler Not Found")
}

// publish replaces what a connection has registered of a service.
func (s *Server) publish(c *connection, key Key, list []Instance) {
	for _, inst := range c.published(key, list) {
		s.registry.Remove(key, inst)
	}
	for _, inst := range list {
		if inst.ClusterName == "" {
			inst.ClusterName = "DEFAULT"
		}
		s.registry.Put(key, inst)
	}
}

// allowed reports whether a request may be made.
func (s *Server) allowed(headers map[string]string) bool {
	if s.opts.SecretKey != "" {
		mac := hmac.New(sha1.New, []byte(s.opts.SecretKey))
		_, _ = mac.Write([]byte(headers["data"])) // A hash never fails.
		return headers["ak"] == s.opts.AccessKey && headers["signature"] == base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if s.opts.Users == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.tokens[headers["accessToken"]])
}

// handler is the HTTP API, as far as it is there: the login.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	path := "POST /nacos/v1/auth/users/login"
	if s.opts.Version >= 3 {
		path = "POST /nacos/v3/auth/user/login"
	}
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts["login"]++
		user := r.PostFormValue("username")
		if password, known := s.opts.Users[user]; !known || password != r.PostFormValue("password") {
			http.Error(w, "unknown user!", http.StatusForbidden)
			return
		}
		s.issued++
		token := "token-" + strconv.Itoa(s.issued)
		s.tokens[token] = time.Now().Add(time.Duration(s.opts.TokenTTL) * time.Second)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"accessToken": token, "tokenTtl": s.opts.TokenTTL, "globalAdmin": false, "username": user})
	})
	return mux
}
