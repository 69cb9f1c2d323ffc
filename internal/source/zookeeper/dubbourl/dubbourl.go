// Package dubbourl reads the URLs that Apache Dubbo writes as node names.
//
// The grammar is Dubbo's own (URLStrParser), not RFC 3986, and net/url cannot stand in for it: url.ParseQuery rejects ";" and decodes
// values a second time. A node name is percent-decoded exactly once, "+" becoming a space, and then split:
//
//	[scheme "://"] [user [":" password] "@"] host [":" port] ["/" path] ["?" param {("&" | ";") param}]
//
// The package is pure, never panics, and puts nothing of the text into its errors: a URL may hold a token.
package dubbourl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxLength is the longest node name that Parse accepts, in bytes: what ZooKeeper lets a client write by default
// (jute.maxbuffer).
const MaxLength = 1 << 20

// defaultPrefix marks parameters that old versions of Dubbo write as defaults of the same key without it.
const defaultPrefix = "default."

// What can be wrong with a URL. Every error of this package wraps exactly one of them.
var (
	// ErrTooLong: the text is longer than MaxLength.
	ErrTooLong = errors.New("URL is too long")
	// ErrEscape: a percent escape is cut off or not hexadecimal.
	ErrEscape = errors.New("broken percent escape")
	// ErrDoubleEncoded: one decoding leaves a text that is still encoded.
	ErrDoubleEncoded = errors.New("URL is percent-encoded twice")
	// ErrScheme: there is no "scheme://".
	ErrScheme = errors.New("URL has no scheme")
	// ErrHost: there is no host.
	ErrHost = errors.New("URL has no host")
	// ErrPort: the port is not a decimal number.
	ErrPort = errors.New("URL has a port that is not a number")
)

// URL is one decoded Dubbo URL. User names and passwords are not kept.
type URL struct {
	// Scheme is the protocol, as written: "dubbo", "tri", "override", "consumer".
	Scheme string
	// Host is an IP literal without brackets (an IPv6 address may carry a "%scope") or a host name.
	Host string
	// Port is 0 when there is none. It is not checked against 65535: what the registry says is for the caller to judge.
	Port int
	// Path has no leading slash. Dubbo routes by it; the parameter "interface" is the identity of the service.
	Path string
	// Params has each parameter once, a later one winning, and for each key "default.x" also "x" unless that is given.
	Params map[string]string
}

// Decode percent-decodes s once, "+" becoming a space. It is what turns a node name into the name that was registered.
func Decode(s string) (string, error) {
	if len(s) > MaxLength {
		return "", ErrTooLong
	}
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(s) {
				return "", fmt.Errorf("%w at byte %d: cut off", ErrEscape, i)
			}
			high, ok := unhex(s[i+1])
			low, ok2 := unhex(s[i+2])
			if !ok || !ok2 {
				return "", fmt.Errorf("%w at byte %d: not hexadecimal", ErrEscape, i)
			}
			out = append(out, high<<4|low)
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out), nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Parse decodes a node name once and takes the URL apart.
func Parse(node string) (URL, error) {
	text, err := Decode(node)
	if err != nil {
		return URL{}, err
	}
	body, query, _ := strings.Cut(text, "?")
	body, _, _ = strings.Cut(body, "#")
	scheme, rest, ok := strings.Cut(body, "://")
	if !ok || scheme == "" {
		if strings.Contains(strings.ToLower(body), "%3a%2f%2f") {
			return URL{}, ErrDoubleEncoded
		}
		return URL{}, ErrScheme
	}
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	u := URL{Scheme: scheme, Path: path}
	if u.Host, u.Port, err = splitHostPort(authority); err != nil {
		return URL{}, err
	}
	u.Params = parseParams(query)
	return u, nil
}

// splitHostPort splits at the last colon, because Dubbo writes IPv6 addresses without brackets. A colon before a "%" belongs to an
// address with a scope and no port ("fe80::1%eth0"), one inside brackets to the address.
func splitHostPort(authority string) (string, int, error) {
	host, port := authority, 0
	colon := strings.LastIndexByte(authority, ':')
	if colon > strings.LastIndexByte(authority, '%') && colon > strings.LastIndexByte(authority, ']') && colon < len(authority)-1 {
		digits := authority[colon+1:]
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			return "", 0, ErrPort
		}
		host, port = authority[:colon], int(n)
	}
	host = strings.TrimSuffix(host, ":")
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	if host == "" {
		return "", 0, ErrHost
	}
	return host, port, nil
}

// parseParams splits at "&" and ";", each pair at its first "=". A key without "=" has itself as its value, as in Dubbo.
func parseParams(query string) map[string]string {
	params := make(map[string]string, 1+strings.Count(query, "&"))
	var defaults []string
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			value = key
		}
		if key == "" {
			continue
		}
		params[key] = value
		if strings.HasPrefix(key, defaultPrefix) {
			defaults = append(defaults, key)
		}
	}
	// A key that was filled in is not looked at again: "default.default.x" sets "default.x" and no more.
	for _, key := range defaults {
		if plain := key[len(defaultPrefix):]; plain != "" {
			if _, given := params[plain]; !given {
				params[plain] = params[key]
			}
		}
	}
	return params
}
