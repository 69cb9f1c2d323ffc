package cluster

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FieldManager is the name under which the API server notes what the bridge writes into Registries.
const FieldManager = "registry-bridge-controller"

// FreezeSuffix follows the name of an installation in the name of the ConfigMap that freezes it.
const FreezeSuffix = "-freeze"

// The keys of the ConfigMap that freezes.
const (
	freezeFrozen = "frozen"
	freezeReason = "reason"
	freezeBy     = "by"
	freezeSince  = "since"
	freezeLeave  = "leaving"
)

// Freeze is why nothing is written at all.
type Freeze struct {
	// Reason is what the person who froze wrote, may be empty. Since is when, zero when it is not noted.
	Reason string
	Since  time.Time
	// By is who froze, as the API server knows the person; may be empty.
	By string
	// Leaving says that the bridge is being uninstalled: it takes its finalizers from all Registries, so that none waits for a bridge
	// that is not there any more.
	Leaving bool
}

// Circumstances says since when, by whom and why, with a blank before it; "" when nothing is noted.
func (f *Freeze) Circumstances() string {
	text := ""
	if !f.Since.IsZero() {
		text += " since " + f.Since.UTC().Format(time.RFC3339)
	}
	if f.By != "" {
		text += " by " + f.By
	}
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return text
}

// ReadFreeze reads what WriteFreeze wrote. Every value of "frozen" other than "false" freezes: somebody who edits the ConfigMap by hand in
// a hurry means to stop the bridge.
func ReadFreeze(m *corev1.ConfigMap) *Freeze {
	if m.Data[freezeFrozen] == "false" {
		return nil
	}
	since, err := time.Parse(time.RFC3339, m.Data[freezeSince])
	if err != nil {
		since = time.Time{}
	}
	return &Freeze{Reason: m.Data[freezeReason], Since: since, By: m.Data[freezeBy], Leaving: m.Data[freezeLeave] == "true"}
}

// WriteFreeze returns the ConfigMap that freezes the installation of this name, or ends that when freeze is nil. It is changed rather than
// deleted, so that the bridge needs to watch a single object and the last reason stays readable.
func WriteFreeze(namespace, name string, freeze *Freeze) *corev1.ConfigMap {
	m := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + FreezeSuffix},
		Data:       map[string]string{freezeFrozen: "false"},
	}
	if freeze != nil {
		m.Data = map[string]string{freezeFrozen: "true", freezeReason: freeze.Reason, freezeSince: freeze.Since.UTC().Format(time.RFC3339)}
		if freeze.By != "" {
			m.Data[freezeBy] = freeze.By
		}
		if freeze.Leaving {
			m.Data[freezeLeave] = "true"
		}
	}
	return m
}
