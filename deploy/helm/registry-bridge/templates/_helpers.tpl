{{/* Names. */}}
{{- define "registry-bridge.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* The name of objects is also that of the installation: its Lease, and its ConfigMap that freezes. */}}
{{- define "registry-bridge.fullname" -}}
{{- $name := include "registry-bridge.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Cluster-scoped objects carry the namespace, or two releases of one name would share them. */}}
{{- define "registry-bridge.clusterName" -}}
{{ .Release.Namespace }}.{{ include "registry-bridge.fullname" . }}
{{- end }}

{{- define "registry-bridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "registry-bridge.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | required "serviceAccount.name is needed when serviceAccount.create is false" -}}
{{- end -}}
{{- end }}

{{- define "registry-bridge.version" -}}
v{{ .Chart.AppVersion }}
{{- end }}

{{- define "registry-bridge.image" -}}
{{- $i := .Values.image -}}
{{- with $i.registry }}{{ . }}/{{ end }}{{ $i.repository }}
{{- if $i.digest }}@{{ $i.digest }}{{ else }}:{{ $i.tag | default (include "registry-bridge.version" .) }}{{ end }}
{{- end }}

{{/*
The instance id. All that is published is known by it, so an upgrade that would change it is refused. (Where Helm cannot look, as in helm
template, it cannot be.)
*/}}
{{- define "registry-bridge.instance" -}}
{{- $instance := .Values.instance | default (include "registry-bridge.clusterName" .) -}}
{{- if gt (len $instance) 63 -}}
{{- fail (printf "the default of instance, %q, is longer than 63 characters: set instance to one that is not" $instance) -}}
{{- end -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $was := get (.metadata.annotations | default dict) "registry-bridge.io/instance" -}}
{{- if and $was (ne $was $instance) (eq (get $labels "app.kubernetes.io/instance") $.Release.Name) (eq (get $labels "app.kubernetes.io/component") "bridge") -}}
{{- fail (printf "instance would change from %q to %q, and the bridge would not know what it has published any more: set instance to %q" $was $instance $was) -}}
{{- end -}}
{{- end -}}
{{- $instance -}}
{{- end }}

{{- define "registry-bridge.selector" -}}
app.kubernetes.io/name: {{ include "registry-bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: bridge
{{- end }}

{{/* Labels that are the same in each version of the chart: Registries have them, which an upgrade leaves as they are. */}}
{{- define "registry-bridge.constantLabels" -}}
app.kubernetes.io/name: {{ include "registry-bridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: registry-bridge
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "registry-bridge.labels" -}}
{{ include "registry-bridge.constantLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Flags that say which Registries are read: those of run and leave alike. */}}
{{- define "registry-bridge.installation" -}}
- --namespace={{ .Release.Namespace }}
- --name={{ include "registry-bridge.fullname" . }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- end }}

{{/* Environment of a container: the proxy. */}}
{{- define "registry-bridge.proxy" -}}
{{- with .Values.proxy }}
{{- with .httpProxy }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .httpsProxy }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .httpProxy .httpsProxy }}
- name: NO_PROXY
  value: {{ prepend (compact (list .noProxy)) "$(KUBERNETES_SERVICE_HOST)" | join "," | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What all pods of the chart have in common. */}}
{{- define "registry-bridge.pod" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Namespaces in which Secrets and ConfigMaps may be read. */}}
{{- define "registry-bridge.secretNamespaces" -}}
{{- $all := concat .Values.watchNamespaces .Values.rbac.secretNamespaces -}}
{{- range .Values.registries }}{{ $all = append $all (.namespace | default $.Release.Namespace) }}{{ end -}}
{{- $all | uniq | sortAlpha | toJson -}}
{{- end }}
