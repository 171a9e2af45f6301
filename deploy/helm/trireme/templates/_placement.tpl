{{/* Image, resources and nodes of a pod. Each takes the dict of _component.tpl. */}}

{{- define "trireme.componentImage" -}}
{{- include "trireme.image" (dict "root" .root "image" .values.image "suffix" (ternary (dig "gpu" "imageSuffix" "" .values) "" (.gpu | default false))) -}}
{{- end -}}

{{- define "trireme.resources" -}}
{{- $resources := deepCopy .values.resources -}}
{{- if .gpu -}}
{{- if eq .values.gpu.mode "dra" -}}
{{- $resources = set $resources "claims" (list (dict "name" "gpu")) -}}
{{- else -}}
{{- $limits := set ($resources.limits | default dict) .values.gpu.resourceName (int64 .values.gpu.count) -}}
{{- $resources = set $resources "limits" $limits -}}
{{- end -}}
{{- end -}}
{{- if and .stage (eq .root.Values.model.source "initFetch") -}}
{{- $requests := $resources.requests | default dict -}}
{{- if not (hasKey $requests "ephemeral-storage") -}}
{{- $size := printf "%dGi" (int64 .root.Values.model.initFetch.sizeGiB) -}}
{{- $resources = set $resources "requests" (set $requests "ephemeral-storage" $size) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Where a pod may run. Argument: dict values, gpu. */}}
{{- define "trireme.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := .values.tolerations | default list -}}
{{- if .gpu -}}
{{- /* Nodes are tainted with nvidia.com/gpu also where MIG gives their parts names of their own. */ -}}
{{- range $key := list .values.gpu.resourceName "nvidia.com/gpu" -}}
{{- $tolerations = append $tolerations (dict "key" $key "operator" "Exists" "effect" "NoSchedule") -}}
{{- end -}}
{{- end }}
{{- with uniq $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "trireme.scheduling" -}}
{{ include "trireme.placement" . | trim }}
topologySpreadConstraints:
  {{- include "trireme.spread" (dict "selector" (include "trireme.componentSelector" .) "spread" .values.spread) | trim | nindent 2 }}
{{- end -}}
