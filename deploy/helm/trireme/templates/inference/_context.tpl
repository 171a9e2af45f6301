{{/* What all objects of one pool are made from. Argument: dict root, pool. */}}
{{- define "trireme.inference" -}}
{{- $inference := .root.Values.inference -}}
{{- $pool := index $inference.pools .pool | default dict -}}
{{- $service := pick $inference "image" "env" "sharedMemory" -}}
{{- $values := include "trireme.merged" (list .root.Values.defaults $service $inference.poolDefaults $pool) | fromJson -}}
{{- $gpu := ne $values.gpu.mode "none" -}}
{{- $env := include "trireme.stageEnv" (dict "component" "inference") | fromYaml -}}
{{- $env = set $env "TRIREME_INFERENCE_DEVICE" (ternary "cuda:0" "cpu" $gpu) -}}
{{- $env = set $env "TRIREME_INFERENCE_THREADS" (dict "resourceFieldRef" (dict "resource" "requests.cpu")) -}}
{{- $name := printf "%s-inference-%s" (include "trireme.fullname" .root) .pool -}}
{{- dict "component" "inference" "pool" .pool "name" $name "values" $values "env" $env "stage" true "gpu" $gpu "startupSeconds" (mul (int64 $inference.startupMinutes) 60) | toJson -}}
{{- end -}}
