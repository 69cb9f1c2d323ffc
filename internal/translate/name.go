package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name, in bytes, that annotations hold as it is.
const maxName = 1024

// quotedName is how much of a name that cannot be held as it is stays readable in front of its hash, in bytes.
const quotedName = 200

// EncodeName returns name as AnnotationService and AnnotationUnit hold it: unaltered when it is printable UTF-8 of at most 1 KB, else
// its beginning, quoted in ASCII, and a hash of the whole. (YAML has no way to write some control characters.) Whoever looks for a live object by its annotation compares encoded names.
func EncodeName(name string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, unprintable) {
		return name
	}
	return strconv.QuoteToASCII(name[:min(len(name), quotedName)]) + " sha256:" + hash(name, 16)
}

// hash returns the first n hex digits of the SHA-256 of s.
func hash(s string, n int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:n]
}
