{{/* What all objects of preprocess are made from. */}}
{{- define "trireme.preprocess" -}}
{{- $values := include "trireme.merged" (list .Values.defaults .Values.preprocess) | fromJson -}}
{{- $env := include "trireme.stageEnv" (dict "root" . "component" "preprocess") | fromYaml -}}
{{- $signals := include "trireme.serviceSignals" (dict "root" . "component" "preprocess" "values" $values) | fromJson -}}
{{- dict "component" "preprocess" "name" (printf "%s-preprocess" (include "trireme.fullname" .)) "values" $values "env" $env "stage" true "startupSeconds" 300 "signals" $signals | toJson -}}
{{- end -}}
