{{/* What all objects of the gateway are made from. */}}
{{- define "trireme.gateway" -}}
{{- $values := include "trireme.merged" (list .Values.defaults .Values.gateway) | fromJson -}}
{{- $env := include "trireme.gatewayEnv" . | fromYaml -}}
{{- $signals := include "trireme.serviceSignals" (dict "root" . "component" "gateway" "values" $values) | fromJson -}}
{{- $secrets := list -}}
{{- with include "trireme.cacheAuthority" . -}}
{{- $secrets = append $secrets (dict "name" "cache-authority" "secretName" . "mountPath" "/tls/cache-authority" "keys" (list "ca.crt")) -}}
{{- end -}}
{{- with include "trireme.cacheClient" . -}}
{{- $secrets = append $secrets (dict "name" "cache-client" "secretName" . "mountPath" "/tls/cache-client" "keys" (list "tls.crt" "tls.key")) -}}
{{- end -}}
{{- dict "component" "gateway" "name" (printf "%s-gateway" (include "trireme.fullname" .)) "values" $values "env" $env "stage" false "startupSeconds" 120 "signals" $signals "secretVolumes" $secrets | toJson -}}
{{- end -}}

{{/* The Service that resolves to every gateway pod: for gRPC callers, for metrics, and for the gateways themselves. */}}
{{- define "trireme.gatewayHeadless" -}}
{{- printf "%s-gateway-headless" (include "trireme.fullname" .) -}}
{{- end -}}

{{/* Seconds that the test gives each of its requests: longer than the gateway does, so that it hears what was wrong. */}}
{{- define "trireme.smokeTimeout" -}}
{{- add (int64 .Values.gateway.requestTimeoutSeconds) 10 -}}
{{- end -}}

{{/* Seconds that the whole test may take: its image, two minutes until the gateway is ready, and two requests. */}}
{{- define "trireme.smokeDeadline" -}}
{{- add 220 (mul 2 (include "trireme.smokeTimeout" . | int64)) -}}
{{- end -}}

{{/* Secret with the authority that signed the certificate of Redis; empty where Redis is plain. */}}
{{- define "trireme.cacheAuthority" -}}
{{- if eq .Values.cache.mode "embedded" -}}
{{- include "trireme.cacheTlsSecret" . -}}
{{- else if eq .Values.cache.mode "external" -}}
{{- .Values.cache.external.caSecret -}}
{{- end -}}
{{- end -}}

{{/* Secret with the certificate that gateways show to Redis; empty where they show none. */}}
{{- define "trireme.cacheClient" -}}
{{- if eq .Values.cache.mode "external" -}}
{{- .Values.cache.external.clientSecret -}}
{{- end -}}
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
{{- if .Values.inference.external.addresses }}
TRIREME_GATEWAY_INFERENCE_PROTOCOL: oip
{{- end }}
{{- if include "trireme.idlePools" . | fromJsonArray }}
# A pool may have no pod: its requests are held here, and KEDA asks any one gateway for what all of them have. The
# pool's name is what stands behind `-inference-` in its address.
TRIREME_GATEWAY_HOLD_MAX_REQUESTS: {{ int64 .Values.gateway.queue.maxDepth }}
TRIREME_GATEWAY_HOLD_MAX_SECONDS: {{ int64 .Values.gateway.queue.maxWaitSeconds }}
TRIREME_GATEWAY_PEER_ADDRESSES: "{{ include "trireme.gatewayHeadless" . }}:{{ include "trireme.port" (dict "component" "gateway" "port" "metrics") }}"
{{- end }}
{{- include "trireme.redisEnv" . }}
{{- if and (ne .Values.cache.mode "off") .Values.cache.sealing.existingSecret }}
TRIREME_GATEWAY_CACHE_SECRET:
  secretKeyRef: {name: {{ .Values.cache.sealing.existingSecret }}, key: {{ .Values.cache.sealing.key }}}
{{- end }}
{{- end -}}

{{- define "trireme.redisEnv" -}}
{{- $authority := include "trireme.cacheAuthority" . -}}
{{- if eq .Values.cache.mode "embedded" }}
TRIREME_GATEWAY_REDIS_URL: "{{ ternary "rediss" "redis" (not (empty $authority)) }}://{{ include "trireme.fullname" . }}-cache:{{ include "trireme.port" (dict "component" "cache" "port" "redis") }}/0"
{{- else if eq .Values.cache.mode "external" }}
TRIREME_GATEWAY_REDIS_URL:
  secretKeyRef: {name: {{ .Values.cache.external.existingSecret }}, key: {{ .Values.cache.external.key }}}
{{- end }}
{{- if $authority }}
TRIREME_GATEWAY_REDIS_TLS_CA_FILE: /tls/cache-authority/ca.crt
{{- end }}
{{- if include "trireme.cacheClient" . }}
TRIREME_GATEWAY_REDIS_TLS_CERTIFICATE_FILE: /tls/cache-client/tls.crt
TRIREME_GATEWAY_REDIS_TLS_KEY_FILE: /tls/cache-client/tls.key
{{- end }}
{{- end -}}
