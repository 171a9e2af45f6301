{{/* Names of the pools that this release runs, sorted: none where inference stands outside. */}}
{{- define "trireme.pools" -}}
{{- ternary (keys .Values.inference.pools | sortAlpha) list (empty .Values.inference.external.addresses) | toJson -}}
{{- end -}}

{{/* Values of one pool: defaults, what all pools share, the pool's own. Argument: dict root, pool. */}}
{{- define "trireme.poolValues" -}}
{{- $inference := .root.Values.inference -}}
{{- $pool := index $inference.pools .pool | default dict -}}
{{- $service := pick $inference "image" "env" -}}
{{- include "trireme.merged" (list .root.Values.defaults $service $inference.poolDefaults $pool) -}}
{{- end -}}

{{/* The devices that a pod of a pool with `dra` claims. Argument: the pool's values. */}}
{{- define "trireme.claimSpec" -}}
devices:
  requests:
    - name: gpu
      exactly:
        deviceClassName: {{ .gpu.deviceClassName }}
        allocationMode: ExactCount
        count: {{ int64 .gpu.count }}
{{- end -}}

{{/* A ResourceClaimTemplate cannot be changed: another claim has another name. Argument: dict root, pool, values. */}}
{{- define "trireme.claimName" -}}
{{- $hash := printf "%s\n%s" (include "trireme.fullname" .root) (include "trireme.claimSpec" .values) | sha256sum | trunc 8 -}}
{{- printf "%s-%s-%s" (include "trireme.fullname" .root) .pool $hash -}}
{{- end -}}

{{/* What all objects of one pool are made from. Argument: dict root, pool. */}}
{{- define "trireme.inference" -}}
{{- $values := include "trireme.poolValues" . | fromJson -}}
{{- $gpu := ne $values.gpu.mode "none" -}}
{{- $env := include "trireme.stageEnv" (dict "root" .root "component" "inference" "models" $values.models) | fromYaml -}}
{{- $env = set $env "TRIREME_INFERENCE_DEVICE" (ternary "cuda" "cpu" $gpu) -}}
{{- $name := printf "%s-inference-%s" (include "trireme.fullname" .root) .pool -}}
{{- $seconds := mul (int64 .root.Values.inference.startupMinutes) 60 -}}
{{- $signals := include "trireme.poolSignals" (dict "root" .root "pool" .pool "name" $name "values" $values) | fromJson -}}
{{- dict "component" "inference" "pool" .pool "name" $name "values" $values "env" $env "stage" true "gpu" $gpu "startupSeconds" $seconds "signals" $signals | toJson -}}
{{- end -}}
