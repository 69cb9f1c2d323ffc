package dir

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"

	"github.com/registry-bridge/registry-bridge/internal/sync/output/manifest"
	"github.com/registry-bridge/registry-bridge/internal/sync/plan"
	"github.com/registry-bridge/registry-bridge/internal/translate"
)

// file is what one version of a file means to us.
//
//	obstacle  broken  live
//	no        no      yes    ours
//	no        yes     yes    was ours and was damaged: live is what it held, made different
//	no        yes     no     ours by its looks, content unknown
//	yes       no      no     somebody else's
type file struct {
	stat stat
	// version is stat and the content; it is empty for what could not be read.
	version string
	// racy says that stat may hide a change.
	racy bool

	live     *plan.Live
	obstacle error
	broken   error
	// plain says that the file has nothing but what we wrote, so that nothing has to be kept when it is written again.
	plain bool
}

var (
	errNotOwned  = errors.New("it lacks our owner labels")
	errMisplaced = errors.New("its object belongs into another file")
	errDocuments = errors.New("it has several documents")

	// documentStart matches the line between two YAML documents.
	documentStart = regexp.MustCompile(`(?m)^---(\s|$)`)
)

// parse decides what the file is; wasOurs says that it was ours before.
func (f *file) parse(name string, text []byte, instance string, wasOurs bool) {
	if several(text) {
		f.obstacle = errDocuments
		return
	}
	object, err := manifest.ParseYAML(text)
	switch {
	case errors.Is(err, manifest.ErrForeign) && !blank(text):
		f.obstacle = err
	case err != nil && (wasOurs || looksOurs(text, instance)):
		f.broken = err
	case err != nil:
		f.obstacle = err
	case object.Labels[translate.LabelManagedBy] != translate.ManagedBy || object.Labels[translate.LabelInstance] != instance:
		f.obstacle = errNotOwned
	case fileName(object.Key) != name:
		f.obstacle = errMisplaced
	default:
		f.live = &plan.Live{Object: object, ResourceVersion: f.version}
	}
}

// several reports whether text has more than one YAML document.
func several(text []byte) bool {
	for i, at := range documentStart.FindAllIndex(text, 2) {
		if i > 0 || !blank(text[:at[0]]) {
			return true
		}
	}
	return false
}

// blank reports whether text has nothing but white space, comments, and the zero bytes that a crash leaves.
func blank(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.Trim(line, "\x00 \t\r\n")
		if len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// looksOurs reports whether a text that does not parse was a file of ours.
func looksOurs(text []byte, instance string) bool {
	if blank(text) {
		return true
	}
	owner := regexp.MustCompile(fmt.Sprintf(`(?m)^ +%s: ["']?%s["']?\s*$`,
		regexp.QuoteMeta(translate.LabelInstance), regexp.QuoteMeta(instance)))
	return owner.Match(text)
}
