{{/*
The rights of the bridge. A test compares each with the audit log of an API server: there is none that is not used, and none is missing.
*/}}

{{/* Everywhere: whose host is whose can only be known by who knows all hosts. */}}
{{- define "registry-bridge.rules.hosts" -}}
- apiGroups: [networking.istio.io]
  resources: [serviceentries, workloadentries]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
{{- if .Values.dubbo.envoyFilters.enabled }}
- apiGroups: [networking.istio.io]
  resources: [destinationrules, envoyfilters]
  verbs: [list, watch]
{{- end }}
{{- if .Values.rbac.pods }}
- apiGroups: [""]
  resources: [pods, nodes]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{/* In the namespaces of the Registries. */}}
{{- define "registry-bridge.rules.registries" -}}
- apiGroups: [registry-bridge.io]
  resources: [registries]
  verbs: [list, watch, patch]
- apiGroups: [registry-bridge.io]
  resources: [registries/status]
  verbs: [patch]
- apiGroups: [networking.istio.io]
  resources: [serviceentries, workloadentries]
  verbs: [get, create, patch, delete]
{{- if .Values.dubbo.envoyFilters.enabled }}
- apiGroups: [networking.istio.io]
  resources: [destinationrules]
  verbs: [get, create, patch, delete]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* In the namespaces of consumers whose Dubbo calls are routed by what they say. */}}
{{- define "registry-bridge.rules.filters" -}}
- apiGroups: [networking.istio.io]
  resources: [envoyfilters]
  verbs: [get, create, patch, delete]
{{- end }}

{{/* Those namespaces, as JSON. */}}
{{- define "registry-bridge.filterNamespaces" -}}
{{- with .Values.dubbo.envoyFilters }}
{{- $namespaces := list }}
{{- if .enabled }}
{{- $namespaces = .namespaces }}
{{- if .mesh }}
{{- $namespaces = append $namespaces .rootNamespace }}
{{- end }}
{{- if not $namespaces }}
{{- fail "dubbo.envoyFilters.enabled needs namespaces or mesh: no EnvoyFilter could be written" }}
{{- end }}
{{- end }}
{{- $namespaces | uniq | toJson }}
{{- end }}
{{- end }}

{{/* What Registries refer to: by name, so without a list of what there is. */}}
{{- define "registry-bridge.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get]
{{- end }}

{{/* In the namespace of the release. (To create something cannot be limited to a name.) */}}
{{- define "registry-bridge.rules.own" -}}
{{- $name := include "registry-bridge.fullname" . -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ $name }}]
  verbs: [get, update]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ $name }}-freeze]
  verbs: [list, watch]
{{- end }}

{{/*
A role and who has it: {context, name, namespace (none for a cluster role), rules, subject, annotations}.
*/}}
{{- define "registry-bridge.role" -}}
{{- $kind := ternary "Role" "ClusterRole" (not (empty .namespace)) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "registry-bridge.labels" .context | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "registry-bridge.labels" .context | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .subject }}
    namespace: {{ .context.Release.Namespace }}
{{- end }}
