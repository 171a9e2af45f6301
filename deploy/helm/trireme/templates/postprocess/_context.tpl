{{/* What all objects of postprocess are made from. */}}
{{- define "trireme.postprocess" -}}
{{- $values := include "trireme.merged" (list .Values.defaults .Values.postprocess) | fromJson -}}
{{- $env := include "trireme.stageEnv" (dict "root" . "component" "postprocess") | fromYaml -}}
{{- $signals := include "trireme.serviceSignals" (dict "root" . "component" "postprocess" "values" $values) | fromJson -}}
{{- dict "component" "postprocess" "name" (printf "%s-postprocess" (include "trireme.fullname" .)) "values" $values "env" $env "stage" true "startupSeconds" 300 "signals" $signals | toJson -}}
{{- end -}}
