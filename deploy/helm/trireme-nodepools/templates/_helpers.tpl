{{/* Base of all names: begins with a letter and has at most 36 characters, so that every suffix fits into 63. */}}
{{- define "nodepools.fullname" -}}
{{- $name := .Values.fullnameOverride | default .Release.Name -}}
{{- if regexMatch "^[0-9]" $name -}}
{{- $name = printf "r-%s" $name -}}
{{- end -}}
{{- if gt (len $name) 36 -}}
{{- printf "%s-%s" ($name | trunc 27 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* What a selector holds. Argument: dict root, pool. */}}
{{- define "nodepools.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .pool }}
trireme/pool: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "nodepools.labels" -}}
{{ include "nodepools.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Metadata of what outlives the release: uninstalling drains no node. Argument: dict root, pool, name. */}}
{{- define "nodepools.kept" -}}
name: {{ .name }}
labels:
  {{- include "nodepools.labels" . | nindent 2 }}
annotations:
  helm.sh/resource-policy: keep
{{- end -}}

{{/* Maps merged from left to right, level by level; unlike mergeOverwrite it lets 0, false and "" win. */}}
{{- define "nodepools.merged" -}}
{{- $out := dict -}}
{{- range $map := . -}}
{{- range $key, $value := $map -}}
{{- if and (kindIs "map" $value) (kindIs "map" (index $out $key)) -}}
{{- $value = include "nodepools.merged" (list (index $out $key) $value) | fromJson -}}
{{- end -}}
{{- $out = set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* What all objects of one pool are made from. Argument: dict root, pool. */}}
{{- define "nodepools.context" -}}
{{- $values := include "nodepools.merged" (list .root.Values.poolDefaults (index .root.Values.pools .pool | default dict)) | fromJson -}}
{{- dict "pool" .pool "name" (printf "%s-%s" (include "nodepools.fullname" .root) .pool) "values" $values | toJson -}}
{{- end -}}

{{/* Names of the pools, sorted, where the provider is one of those given. Argument: dict root, providers. */}}
{{- define "nodepools.pools" -}}
{{- if has .root.Values.provider .providers -}}{{ keys .root.Values.pools | sortAlpha | toJson }}{{- else -}}[]{{- end -}}
{{- end -}}

{{/* A limit as text: numbers of values are floats. */}}
{{- define "nodepools.quantity" -}}
{{- if kindIs "float64" . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Taints of the nodes. Argument: a pool's values. */}}
{{- define "nodepools.taints" -}}
{{- $taints := .taints -}}
{{- if .gpu.enabled -}}
{{- $taints = prepend $taints (dict "key" "nvidia.com/gpu" "value" "present" "effect" "NoSchedule") -}}
{{- end -}}
{{- toJson $taints -}}
{{- end -}}

{{/* What the GPU operator reads from the labels of a node. Argument: a pool's values. */}}
{{- define "nodepools.operatorLabels" -}}
{{- $labels := dict -}}
{{- if eq .sharing.mode "mig" -}}
{{- $labels = set $labels "nvidia.com/mig.config" .sharing.config -}}
{{- else if ne .sharing.mode "none" -}}
{{- $labels = set $labels "nvidia.com/device-plugin.config" .sharing.config -}}
{{- end -}}
{{- if eq .devices "dra" -}}
{{- $labels = set $labels "nvidia.com/gpu.deploy.device-plugin" "false" -}}
{{- end -}}
{{- toJson $labels -}}
{{- end -}}

{{/* Labels of the nodes. Argument: dict root, pool, values. */}}
{{- define "nodepools.nodeLabels" -}}
{{- $operator := dict -}}
{{- if ne .root.Values.provider "gke" -}}
{{- $operator = include "nodepools.operatorLabels" .values | fromJson -}}
{{- end -}}
{{- include "nodepools.merged" (list $operator .values.labels (dict "trireme/node-pool" .pool)) -}}
{{- end -}}

{{/* The node selector that leads a pod to a pool. Argument: dict root, pool, name. */}}
{{- define "nodepools.nodeSelector" -}}
{{- if eq .root.Values.provider "gke" -}}
cloud.google.com/compute-class: {{ .name }}
{{- else -}}
trireme/node-pool: {{ .pool }}
{{- end -}}
{{- end -}}

{{/* Values of the chart trireme that lead pods to a pool. Argument: dict root, pool, name, values. */}}
{{- define "nodepools.podValues" -}}
gpu: {mode: {{ if not .values.gpu.enabled }}none{{ else }}{{ ternary "dra" "extended" (eq .values.devices "dra") }}{{ end }}}
nodeSelector:
  {{ include "nodepools.nodeSelector" . }}
{{- with .values.taints }}
tolerations:
  {{- range . }}
  - {key: {{ .key }}, operator: Exists, effect: {{ .effect }}}
  {{- end }}
{{- end }}
{{- if .root.Values.priorityClasses.serving.enabled }}
priorityClassName: {{ .root.Values.priorityClasses.serving.name }}
{{- end }}
{{- end -}}

{{/* Pools with headroom, as a JSON list. */}}
{{- define "nodepools.withHeadroom" -}}
{{- $found := list -}}
{{- range $pool := keys .Values.pools | sortAlpha -}}
{{- $context := include "nodepools.context" (dict "root" $ "pool" $pool) | fromJson -}}
{{- if and (ne $.Values.provider "none") (gt (int64 $context.values.headroom.replicas) 0) -}}
{{- $found = append $found $pool -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
