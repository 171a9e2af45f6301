{{/*
The one table of who may call whom. NetworkPolicies and the addresses that the gateway gets come from here.
  ports    of the component
  calls    which port of which component it calls; `self` are pods of its own, and only where pools may have no pod
*/}}
{{- define "trireme.topology" -}}
gateway:
  ports: {http: 8080, grpc: 8081, metrics: 9090}
  calls: {preprocess: grpc, inference: grpc, postprocess: grpc, cache: redis, self: metrics}
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

{{/* Where the gateway finds a stage: each headless Service of it, or the servers outside. Argument: dict root, component. */}}
{{- define "trireme.addresses" -}}
{{- $base := include "trireme.fullname" .root -}}
{{- $port := include "trireme.port" (dict "component" .component "port" "grpc") -}}
{{- if eq .component "inference" -}}
{{- $found := .root.Values.inference.external.addresses -}}
{{- range $pool := include "trireme.pools" .root | fromJsonArray -}}
{{- $found = append $found (printf "%s-inference-%s:%s" $base $pool $port) -}}
{{- end -}}
{{- join "," $found -}}
{{- else -}}
{{- printf "%s-%s:%s" $base .component $port -}}
{{- end -}}
{{- end -}}

{{/* The components that this release runs, as a YAML list. */}}
{{- define "trireme.components" -}}
{{- $all := list "gateway" "preprocess" "postprocess" -}}
{{- if include "trireme.pools" . | fromJsonArray }}{{ $all = append $all "inference" }}{{ end -}}
{{- if .Values.smoke.enabled }}{{ $all = append $all "smoke" }}{{ end -}}
{{- if eq .Values.cache.mode "embedded" }}{{ $all = append $all "cache" }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Numbers of the ports of other components that one calls in this release, by component. Argument: dict root, component. */}}
{{- define "trireme.calls" -}}
{{- $table := include "trireme.topology" . | fromYaml -}}
{{- $components := include "trireme.components" .root | fromJsonArray -}}
{{- $found := dict -}}
{{- range $callee, $port := index $table .component "calls" -}}
{{- if and (eq $callee "self") (include "trireme.idlePools" $.root | fromJsonArray) -}}
{{- $callee = $.component -}}
{{- end -}}
{{- if has $callee $components -}}
{{- $found = set $found $callee (index $table $callee "ports" $port) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Who may come in: the callers of the table, and whom the values let in. Argument: dict root, component. */}}
{{- define "trireme.ingressRules" -}}
{{- $ports := index (include "trireme.topology" . | fromYaml) .component "ports" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- range $caller := include "trireme.components" .root | fromJsonArray | sortAlpha }}
{{- with index (include "trireme.calls" (dict "root" $.root "component" $caller) | fromJson) $.component }}
- from:
    - podSelector:
        matchLabels:
          {{- include "trireme.selector" (dict "root" $.root "component" $caller) | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ int64 . }}}
{{- end }}
{{- end }}
{{- if eq .component "gateway" }}
# Callers: the namespace, and whom the values let in.
- from:
    - podSelector: {}
    {{- with $policy.gatewayFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ int64 $ports.http }}}
    - {protocol: TCP, port: {{ int64 $ports.grpc }}}
{{- end }}
{{- if $ports.metrics }}
- from:
    - podSelector: {}
    {{- if .root.Values.monitoring.serviceMonitors.enabled }}
    {{- include "trireme.namespacePeer" $policy.monitoringNamespace | nindent 4 }}
    {{- end }}
    {{- if and (eq .component "gateway") (include "trireme.idlePools" .root | fromJsonArray) }}
    # KEDA asks for what is held and in flight.
    {{- include "trireme.namespacePeer" $policy.kedaNamespace | nindent 4 }}
    {{- end }}
    {{- with $policy.metricsFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ int64 $ports.metrics }}}
{{- end }}
{{- end -}}

{{- define "trireme.namespacePeer" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ . | quote }}
{{- end -}}

{{/* Where a component may go: the callees of the table, what the values name outside, and DNS where it calls at all.
     Argument: dict root, component. */}}
{{- define "trireme.egressRules" -}}
{{- $calls := include "trireme.calls" . | fromJson -}}
{{- $outside := include "trireme.outside" . | fromJsonArray -}}
{{- range $callee, $port := $calls }}
- to:
    - podSelector:
        matchLabels:
          {{- include "trireme.selector" (dict "root" $.root "component" $callee) | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ int64 $port }}}
{{- end }}
{{- range $outside }}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ int64 . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- if and (has .component (list "preprocess" "inference" "postprocess")) (eq .root.Values.model.source "initFetch") }}
{{- with .root.Values.networkPolicy.identityEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- if or $calls $outside }}
# Names: a resolver may stand anywhere, and long answers come over TCP.
- ports:
    {{- range $dns := .root.Values.networkPolicy.dnsPorts }}
    - {protocol: UDP, port: {{ int64 $dns }}}
    - {protocol: TCP, port: {{ int64 $dns }}}
    {{- end }}
{{- end }}
{{- end -}}

{{/* What a component calls outside the release: list of dict ports, to. Argument: dict root, component. */}}
{{- define "trireme.outside" -}}
{{- $values := .root.Values -}}
{{- $found := list -}}
{{- if and (eq .component "gateway") (eq $values.cache.mode "external") -}}
{{- $found = append $found (dict "ports" $values.cache.external.ports "to" $values.cache.external.egressTo) -}}
{{- end -}}
{{- if and (eq .component "gateway") $values.inference.external.addresses -}}
{{- $ports := list -}}
{{- range $values.inference.external.addresses }}{{ $ports = append $ports (regexFind "[0-9]+$" .) }}{{ end -}}
{{- $found = append $found (dict "ports" (uniq $ports) "to" $values.inference.external.egressTo) -}}
{{- end -}}
{{- if and (has .component (list "preprocess" "inference" "postprocess")) (eq $values.model.source "initFetch") -}}
{{- $found = append $found (dict "ports" $values.model.initFetch.egressPorts "to" $values.model.initFetch.egressTo) -}}
{{- end -}}
{{- if and $values.otel.endpoint (not (has .component (list "cache" "smoke"))) -}}
{{- $found = append $found (dict "ports" (list (include "trireme.otelPort" .root)) "to" $values.otel.egressTo) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Port of the collector's URL; what its scheme has where it names none. */}}
{{- define "trireme.otelPort" -}}
{{- $url := urlParse .Values.otel.endpoint -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}
