package nacos

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // It is what Alibaba Cloud's servers compute.
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registry-bridge/registry-bridge/internal/source"
)

const (
	// maxLogin is the largest answer to a login that is read, in bytes.
	maxLogin = 1 << 20
	// shortestToken is the least that a token is believed to last.
	shortestToken = 5 * time.Second
)

// resource is what a request is about, for signatures.
type resource struct{ group, service string }

// proof is what says who asks.
type proof struct {
	headers map[string]string
	// token is the one among them, empty when they are signed instead.
	token string
}

// login gets tokens, and keeps the one that is good. It is used by several goroutines.
type login struct {
	cfg *Config

	mu    sync.Mutex
	token string
	// renew is when the next one is to be got: at nine tenths of its life.
	renew time.Time
}

// headers returns the headers of a request to a server.
func (l *login) headers(ctx context.Context, server string, what resource) (proof, error) {
	switch {
	case l.cfg.AccessKey != nil:
		key, err := l.cfg.AccessKey(ctx)
		if err != nil {
			return proof{}, fmt.Errorf("%w: read access key: %w", source.ErrUnauthorized, err)
		}
		return proof{headers: key.sign(what, time.Now())}, nil
	case l.cfg.Credentials != nil:
		token, err := l.current(ctx, server)
		if err != nil {
			return proof{}, err
		}
		return proof{headers: map[string]string{"accessToken": token}, token: token}, nil
	}
	return proof{}, nil
}

// current returns the token, after a login when there is none that is good. Of requests at the same time one logs in, the others wait.
func (l *login) current(ctx context.Context, server string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.token != "" && time.Now().Before(l.renew) {
		return l.token, nil
	}
	token, life, err := l.get(ctx, server)
	if err != nil {
		return "", fmt.Errorf("log in: %w", err)
	}
	l.token, l.renew = token, time.Now().Add(max(life, shortestToken)*9/10)
	return token, nil
}

// forget lets the next request log in, unless another one did already. It reports whether there is any use in asking again.
func (l *login) forget(token string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token != "" && l.token == token {
		l.token = ""
	}
	return token != ""
}

// get logs in: as version 3 has it, and as version 2 does where that is not there.
func (l *login) get(ctx context.Context, server string) (token string, life time.Duration, err error) {
	user, password, err := l.cfg.Credentials(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("%w: read credentials: %w", source.ErrUnauthorized, err)
	}
	client, err := l.client(ctx)
	if err != nil {
		return "", 0, err
	}
	defer client.CloseIdleConnections()
	form := url.Values{"username": {user}, "password": {password}}.Encode()
	for _, path := range []string{"/v3/auth/user/login", "/v1/auth/users/login"} {
		token, life, err = l.post(ctx, client, l.url(server, path), form)
		if !errors.Is(err, errNoSuchPath) {
			break
		}
	}
	return token, life, err
}

func (l *login) url(server, path string) string {
	scheme := "http"
	if l.cfg.LoginHTTPS {
		scheme = "https"
	}
	return scheme + "://" + server + strings.TrimSuffix(l.cfg.ContextPath, "/") + path
}

// client returns a client that goes to the server and nowhere else: neither by a proxy nor by a redirect.
func (l *login) client(ctx context.Context) (*http.Client, error) {
	transport := &http.Transport{DialContext: l.cfg.DialContext, TLSHandshakeTimeout: dialTime}
	if l.cfg.LoginHTTPS && l.cfg.TLS != nil {
		config, err := l.cfg.TLS(ctx)
		if err != nil {
			return nil, fmt.Errorf("read TLS configuration: %w", err)
		}
		transport.TLSClientConfig = config.Clone()
	} else {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport: transport, Timeout: answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// errNoSuchPath: a server of another version.
var errNoSuchPath = fmt.Errorf("%w: the server has no such path; see source.nacos.contextPath", source.ErrMalformed)

func (l *login) post(ctx context.Context, client *http.Client, to, form string) (token string, life time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form))
	if err != nil {
		return "", 0, fmt.Errorf("%w: the server's address makes no URL", source.ErrUnavailable)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		return "", 0, fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLogin))
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("%w: %w", source.ErrUnavailable, err)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		// What the server says to that may repeat what it was sent.
		return "", 0, fmt.Errorf("%w: status %d", source.ErrUnauthorized, resp.StatusCode)
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed, resp.StatusCode == http.StatusGone,
		resp.StatusCode == http.StatusNotImplemented:
		return "", 0, errNoSuchPath
	case resp.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("%w: status %d", source.ErrUnavailable, resp.StatusCode)
	}
	return parseToken(body)
}

// parseToken reads the answer to a login. A server whose authentication is switched off answers without a token, and needs none.
func parseToken(body []byte) (token string, life time.Duration, err error) {
	var answer struct {
		AccessToken string `json:"accessToken"`
		TokenTTL    int64  `json:"tokenTtl"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessToken == "" {
		return "", 0, fmt.Errorf("%w: the answer holds no token", source.ErrMalformed)
	}
	const day = 24 * 60 * 60
	return answer.AccessToken, time.Duration(min(max(answer.TokenTTL, 0), day)) * time.Second, nil
}

// sign returns the headers that Alibaba Cloud's servers want: the time and the service, and a signature of them.
func (k AccessKey) sign(what resource, now time.Time) map[string]string {
	data := strconv.FormatInt(now.UnixMilli(), 10)
	switch {
	case what.service == "":
	case what.group == "" || strings.Contains(what.service, "@@"):
		data += "@@" + what.service
	default:
		data += "@@" + what.group + "@@" + what.service
	}
	headers := map[string]string{"ak": k.ID, "data": data}
	key := k.Secret
	if k.Region != "" {
		key = k.derive(now)
		headers["signatureVersion"] = "v4"
	}
	mac := hmac.New(sha1.New, []byte(key))
	_, _ = mac.Write([]byte(data)) // A hash never fails.
	headers["signature"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if k.Token != "" {
		headers["Spas-SecurityToken"] = k.Token
	}
	return headers
}

// derive returns the signing key of signature version 4, for a day and the region.
func (k AccessKey) derive(now time.Time) string {
	key := []byte("aliyun_v4" + k.Secret)
	for _, part := range []string{now.UTC().Format("20060102"), k.Region, "mse", "aliyun_v4_request"} {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(part)) // A hash never fails.
		key = mac.Sum(nil)
	}
	return base64.StdEncoding.EncodeToString(key)
}
