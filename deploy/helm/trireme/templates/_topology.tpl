{{/*
The one table of who may call whom. NetworkPolicies and the addresses that the gateway gets come from here.
  ports    of the component
  calls    which port of which component it calls
*/}}
{{- define "trireme.topology" -}}
gateway:
  ports: {http: 8080, grpc: 8081, metrics: 9090}
  calls: {preprocess: grpc, inference: grpc, postprocess: grpc, cache: redis}
preprocess:
  ports: {grpc: 50051, metrics: 9090}
  calls: {}
inference:
  ports: {grpc: 50052, metrics: 9090}
  calls: {}
postprocess:
  ports: {grpc: 50053, metrics: 9090}
  calls: {}
cache:
  ports: {redis: 6379}
  calls: {}
smoke:
  ports: {}
  calls: {gateway: http}
{{- end -}}

{{/* A port of a component. Argument: dict component, port. */}}
{{- define "trireme.port" -}}
{{- $table := include "trireme.topology" . | fromYaml -}}
{{- index $table .component "ports" .port | int64 -}}
{{- end -}}

{{/* Where the gateway finds a stage: each headless Service of it. Argument: dict root, component. */}}
{{- define "trireme.addresses" -}}
{{- $base := include "trireme.fullname" .root -}}
{{- $port := include "trireme.port" (dict "component" .component "port" "grpc") -}}
{{- if eq .component "inference" -}}
{{- $found := list -}}
{{- range $pool := keys .root.Values.inference.pools | sortAlpha -}}
{{- $found = append $found (printf "%s-inference-%s:%s" $base $pool $port) -}}
{{- end -}}
{{- join "," $found -}}
{{- else -}}
{{- printf "%s-%s:%s" $base .component $port -}}
{{- end -}}
{{- end -}}

{{/* The components that this release runs, as a YAML list. */}}
{{- define "trireme.components" -}}
{{- $all := list "gateway" "preprocess" "inference" "postprocess" "smoke" -}}
{{- if eq .Values.cache.mode "embedded" }}{{ $all = append $all "cache" }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Who may come in: the callers of the table, and whom the values let in. Argument: dict root, component. */}}
{{- define "trireme.ingressRules" -}}
{{- $table := include "trireme.topology" . | fromYaml -}}
{{- $ports := index $table .component "ports" -}}
{{- range $caller := include "trireme.components" .root | fromJsonArray | sortAlpha }}
{{- with index $table $caller "calls" $.component }}
- from:
    - podSelector:
        matchLabels:
          {{- include "trireme.selector" (dict "root" $.root "component" $caller) | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ index $ports . | int64 }}}
{{- end }}
{{- end }}
{{- if eq .component "gateway" }}
# Callers: the namespace, and whom the values let in.
- from:
    - podSelector: {}
    {{- with .root.Values.networkPolicy.gatewayFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ int64 $ports.http }}}
    - {protocol: TCP, port: {{ int64 $ports.grpc }}}
{{- end }}
{{- if $ports.metrics }}
- from:
    - podSelector: {}
    {{- with .root.Values.networkPolicy.metricsFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ int64 $ports.metrics }}}
{{- end }}
{{- end -}}

{{/* Where a component may go: the callees of the table, and DNS where it calls at all. Argument: dict root, component. */}}
{{- define "trireme.egressRules" -}}
{{- $table := include "trireme.topology" . | fromYaml -}}
{{- $components := include "trireme.components" .root | fromJsonArray -}}
{{- $calls := index $table .component "calls" -}}
{{- range $callee, $port := $calls }}
{{- if has $callee $components }}
- to:
    - podSelector:
        matchLabels:
          {{- include "trireme.selector" (dict "root" $.root "component" $callee) | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ index $table $callee "ports" $port | int64 }}}
{{- end }}
{{- end }}
{{- if and (eq .component "gateway") (eq .root.Values.cache.mode "external") }}
- ports:
    - {protocol: TCP, port: {{ int64 .root.Values.cache.external.port }}}
{{- end }}
{{- if $calls }}
# Names: a resolver may stand anywhere, and long answers come over TCP.
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
{{- end -}}
