package reason

import "slices"

// Condition is a condition type of a Registry's status, with what it can say.
type Condition struct {
	Type string
	// Abnormal says that True is the state that somebody should look at; otherwise False is.
	Abnormal bool
	// Summary is a full sentence: what True means.
	Summary string
	// True, False and Unknown are the reasons with which it has that status.
	True, False, Unknown []Reason
}

// Conditions returns every condition type in the order of the documentation. Those that are Abnormal and have no reason for False are
// left out of a status when there is nothing to say.
func Conditions() []Condition {
	return []Condition{
		{
			Type: "Ready", Summary: "The configuration is valid and in use, and what it brings can be written.",
			True:    []Reason{InUse, Observed, Paused, Frozen, IstioOutdated},
			False:   []Reason{Invalid, IstioMissing, OutputUnavailable, WritesRefused},
			Unknown: []Reason{Pending},
		},
		{
			Type: "Connected", Summary: "Every source could be reached when it last tried.",
			True:    []Reason{Connected},
			False:   []Reason{Unreachable, Unauthorized, MalformedAnswer, SecretUnavailable},
			Unknown: []Reason{Pending},
		},
		{
			Type: "Synced", Summary: "Every source has read everything, and is watching.",
			True:    []Reason{Synced},
			False:   []Reason{Unsynced, Failing},
			Unknown: []Reason{Pending},
		},
		{
			Type: "Holding", Abnormal: true, Summary: "At least one removal is held back; status.holds says which.",
			True: []Reason{
				EmptyService, EmptySource, MassRemoval, Vanished, Unsynced, Failing, Paused, Frozen, Observed, ConfirmRemoval,
				PortOverlap, ShardMove, TableFirst, RoutesFirst, SeveralGuards,
			},
			False:   []Reason{NothingHeld},
			Unknown: []Reason{Pending},
		},
		{
			Type: "ConfirmRemoval", Abnormal: true, Summary: "An edit would remove so much that a person has to confirm it.",
			True: []Reason{ConfirmRemoval},
		},
		{
			Type: "HostConflict", Abnormal: true, Summary: "Somebody else has a host of this Registry in the cluster.",
			True: []Reason{HostConflict},
		},
		{
			Type: "WorkloadsInOutputNamespace", Abnormal: true,
			Summary: "The Registry's namespace holds workloads of the mesh, and Istio may bind entries to their pods.",
			True:    []Reason{WorkloadsFound},
			Unknown: []Reason{PodAccessDenied},
		},
		{
			Type: "Hint", Abnormal: true, Summary: "A source works, and would work better with another configuration.",
			True: []Reason{ConnectionLimit, NoChangeFeed},
		},
	}
}

// Abnormal reports whether True is the state of a condition that somebody should look at.
func Abnormal(conditionType string) bool {
	return slices.ContainsFunc(Conditions(), func(c Condition) bool { return c.Type == conditionType && c.Abnormal })
}

// states are the reasons of conditions that are no reasons of anything else.
func states() []Info {
	return []Info{
		{
			Pending, State, "The bridge has not got to it yet.",
			"Wait. When it lasts, look whether a bridge runs and is the leader.",
		},
		{
			InUse, State, "The configuration is valid, and objects are written by it.",
			"Nothing to do.",
		},
		{
			Invalid, State, "The configuration has mistakes; the message lists them. The last one without is used, if there was any.",
			"Correct what the message names.",
		},
		{
			IstioMissing, State, "The API server does not know ServiceEntries.",
			"Install the custom resource definitions of Istio. The bridge notices by itself.",
		},
		{
			IstioOutdated, State, "The API server has ServiceEntries in an old version only, and they are written in that.",
			"Upgrade the custom resource definitions of Istio when you can.",
		},
		{
			OutputUnavailable, State, "Objects cannot be written now; the message has the last answer.",
			"Look at the API server and at its webhooks. The bridge tries again by itself.",
		},
		{
			WritesRefused, State, "Some objects are refused; the message names the first, with the answer.",
			"Look at the answer: a policy of the cluster is the usual cause.",
		},
		{
			Connected, State, "Every source could be reached when it last tried.",
			"Nothing to do.",
		},
		{
			Unreachable, State, "A source cannot reach the registry; the message has the error.",
			"Look at the address, the network and the registry. What is published stays meanwhile.",
		},
		{
			Unauthorized, State, "The registry refuses the credentials of a source, or they do not suffice.",
			"Correct the secret, or the rights in the registry. A changed secret is used without a restart.",
		},
		{
			MalformedAnswer, State, "What answers a source does not speak the protocol of the registry.",
			"Look whether the address is that of the registry, and not of a proxy or of another port.",
		},
		{
			SecretUnavailable, State, "A secret or a config map that the configuration refers to is missing, or may not be read.",
			"Create it, or allow the bridge to get it. It is used without a restart.",
		},
		{
			Synced, State, "Every source has read everything, and is watching.",
			"Nothing to do.",
		},
		{
			NothingHeld, State, "Nothing is held back.",
			"Nothing to do.",
		},
		{
			SeveralGuards, State, "Several guards hold something back; status.holds says which.",
			"Look at the holds one by one.",
		},
		{
			WorkloadsFound, State, "Pods with a sidecar run in the namespace that the objects are written into.",
			"Move the Registry, or the workloads, to another namespace.",
		},
		{
			PodAccessDenied, State, "The bridge may not read pods, so it does not know which addresses are pods with a sidecar.",
			"Allow it to list and watch pods, or set rules[].tlsMode where it matters.",
		},
	}
}
