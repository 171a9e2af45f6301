{{/* What all objects of the gateway are made from. */}}
{{- define "trireme.gateway" -}}
{{- $values := include "trireme.merged" (list .Values.defaults .Values.gateway) | fromJson -}}
{{- $env := include "trireme.gatewayEnv" . | fromYaml -}}
{{- dict "component" "gateway" "name" (printf "%s-gateway" (include "trireme.fullname" .)) "values" $values "env" $env "stage" false "startupSeconds" 120 | toJson -}}
{{- end -}}

{{- define "trireme.gatewayEnv" -}}
# In plain words: the gateway knows no keys yet, so that whoever the NetworkPolicy lets in may use it.
TRIREME_GATEWAY_ALLOW_ANONYMOUS: "true"
{{- range $port := list "http" "grpc" "metrics" }}
TRIREME_GATEWAY_{{ upper $port }}_PORT: {{ include "trireme.port" (dict "component" "gateway" "port" $port) }}
{{- end }}
{{- range $stage := list "preprocess" "inference" "postprocess" }}
TRIREME_GATEWAY_{{ upper $stage }}_ADDRESSES: {{ include "trireme.addresses" (dict "root" $ "component" $stage) | quote }}
{{- end }}
TRIREME_GATEWAY_REQUEST_TIMEOUT_SECONDS: {{ int64 .Values.gateway.requestTimeoutSeconds }}
{{- if eq .Values.cache.mode "embedded" }}
TRIREME_GATEWAY_REDIS_URL: "redis://{{ include "trireme.fullname" . }}-cache:{{ include "trireme.port" (dict "component" "cache" "port" "redis") }}/0"
{{- else if eq .Values.cache.mode "external" }}
TRIREME_GATEWAY_REDIS_URL:
  secretKeyRef: {name: {{ .Values.cache.external.existingSecret }}, key: {{ .Values.cache.external.key }}}
{{- end }}
{{- if and (ne .Values.cache.mode "off") .Values.cache.sealing.existingSecret }}
TRIREME_GATEWAY_CACHE_SECRET:
  secretKeyRef: {name: {{ .Values.cache.sealing.existingSecret }}, key: {{ .Values.cache.sealing.key }}}
{{- end }}
{{- end -}}
