package dubbo

import "strings"

// The parameters of a provider's URL that say how calls are serialized.
const (
	keyPrefer        = "prefer.serialization"
	keySerialization = "serialization"
	keyRelease       = "release"
)

// readable is the only serialization that Envoy's filter can read.
const readable = "hessian2"

// Serialization returns the serialization that consumers choose for a provider with these parameters, "hessian2" where nothing says
// otherwise. As Dubbo does, it asks for the preferences first, then for the serialization, and then for the default of the release: that
// is fastjson2 in all of 3.2, and hessian2 before and after.
func Serialization(params map[string]string) string {
	for _, text := range []string{params[keyPrefer], params[keySerialization]} {
		for choice := range strings.SplitSeq(text, ",") {
			if choice = strings.ToLower(strings.TrimSpace(choice)); choice != "" {
				return choice
			}
		}
	}
	if strings.HasPrefix(params[keyRelease], "3.2.") {
		return "fastjson2"
	}
	return readable
}

// Readable reports whether Envoy's filter can read calls with a serialization. It closes the connection when it cannot.
func Readable(serialization string) bool { return serialization == readable }
