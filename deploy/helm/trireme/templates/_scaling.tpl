{{/*
Scalers, by `autoscaling.type`. Each takes the dict of _component.tpl, where `signals` is
  queries   what KEDA asks of Prometheus: list of dict name, query, threshold (of one pod)
  gateway   name of the pool whose figures KEDA asks of the gateway instead, because the pool may have no pod
  podMetric dict name, threshold: what an hpa reads through an adapter where no metrics are given
*/}}

{{- define "trireme.scaler" -}}
{{- if eq .values.autoscaling.type "hpa" -}}
{{- include "trireme.hpa" . -}}
{{- else if eq .values.autoscaling.type "keda" -}}
{{- include "trireme.scaledObject" . -}}
{{- end -}}
{{- end -}}

{{- define "trireme.hpa" -}}
{{- $scaling := .values.autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicas: {{ int64 $scaling.minReplicas }}
  maxReplicas: {{ int64 $scaling.maxReplicas }}
  metrics:
    {{- if $scaling.signals.cpuPercent }}
    - type: ContainerResource
      containerResource:
        name: cpu
        container: {{ .component }}
        target:
          type: Utilization
          averageUtilization: {{ int64 $scaling.signals.cpuPercent }}
    {{- end }}
    {{- with $scaling.signals.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    {{- with .signals.podMetric }}
    - type: Pods
      pods:
        metric:
          name: {{ .name }}
        target:
          type: AverageValue
          averageValue: {{ include "trireme.scalar" .threshold | quote }}
    {{- end }}
    {{- end }}
  behavior:
    {{- toYaml $scaling.behavior | nindent 4 }}
{{- end -}}

{{- define "trireme.scaledObject" -}}
{{- $scaling := .values.autoscaling -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    name: {{ .name }}
  {{- if $scaling.idleToZero }}
  # Without work none; with work never fewer than minReplicaCount. The cooldown governs the step to zero alone.
  idleReplicaCount: 0
  cooldownPeriod: {{ int64 .root.Values.keda.cooldownSeconds }}
  {{- end }}
  minReplicaCount: {{ int64 $scaling.minReplicas }}
  maxReplicaCount: {{ int64 $scaling.maxReplicas }}
  pollingInterval: {{ int64 .root.Values.keda.pollingSeconds }}
  fallback:
    failureThreshold: {{ int64 $scaling.fallback.failureThreshold }}
    replicas: {{ $scaling.fallback.replicas | default $scaling.minReplicas | int64 }}
    behavior: {{ $scaling.fallback.behavior }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- toYaml $scaling.behavior | nindent 8 }}
  triggers:
    {{- include "trireme.triggers" . | trim | nindent 4 }}
{{- end -}}

{{- define "trireme.triggers" -}}
{{- $root := .root -}}
{{- if $.values.autoscaling.idleToZero }}
{{- range .signals.gateway }}
- type: metrics-api
  name: {{ .name }}
  metricType: AverageValue
  metadata:
    url: {{ printf "http://%s.%s.svc:%s/scaling" (include "trireme.gatewayHeadless" $root) $root.Release.Namespace (include "trireme.port" (dict "component" "gateway" "port" "metrics")) | quote }}
    valueLocation: {{ .valueLocation | quote }}
    targetValue: {{ include "trireme.scalar" .threshold | quote }}
    activationTargetValue: "0"
{{- end }}
{{- else }}
{{- range .signals.queries }}
- type: prometheus
  name: {{ .name }}
  metricType: AverageValue
  metadata:
    serverAddress: {{ $root.Values.keda.prometheusAddress | quote }}
    query: {{ .query | quote }}
    threshold: {{ include "trireme.scalar" .threshold | quote }}
    # A query that finds nothing is a failure, and falls back; it does not mean that there is no work.
    ignoreNullValues: "false"
    {{- with omit $root.Values.keda.metadata "serverAddress" "query" "threshold" "ignoreNullValues" }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $root.Values.keda.authenticationRef }}
  authenticationRef:
    name: {{ . }}
  {{- end }}
{{- end }}
{{- with $.values.autoscaling.signals.cpuPercent }}
- type: cpu
  name: cpu
  metricType: Utilization
  metadata:
    containerName: {{ $.component }}
    value: {{ include "trireme.scalar" . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Labels that a ServiceMonitor gives the series of a Service. Argument: dict root, service. */}}
{{- define "trireme.series" -}}
namespace="{{ .root.Release.Namespace }}",service="{{ .service }}"
{{- end -}}

{{/*
Signals of a pool. The time that requests wait, summed over a second, is the number of those that wait at a time
(Little's law); the same of the time that they run, and those that wait now, are what is in flight.
*/}}
{{- define "trireme.poolSignals" -}}
{{- $series := include "trireme.series" (dict "root" .root "service" .name) -}}
{{- $signals := .values.autoscaling.signals -}}
{{- $wait := printf "sum(rate(nv_inference_queue_duration_us{%s}[1m])) / 1000000" $series -}}
{{- $run := printf "(sum(rate(nv_inference_request_duration_us{%s}[1m])) - sum(rate(nv_inference_queue_duration_us{%s}[1m]))) / 1000000" $series $series -}}
{{- $waiting := printf "sum(trireme_inference_pending_requests{%s})" $series -}}
{{- $queries := list
  (dict "name" "queue-wait" "query" $wait "threshold" $signals.queueWaitSeconds)
  (dict "name" "requests-in-flight" "query" (printf "%s + %s" $waiting $run) "threshold" $signals.requestsInFlight) -}}
{{- $gateway := list
  (dict "name" "requests-held" "valueLocation" (printf "pools.%s.queued" .pool) "threshold" $signals.requestsInFlight)
  (dict "name" "requests-in-flight" "valueLocation" (printf "pools.%s.in_flight" .pool) "threshold" $signals.requestsInFlight) -}}
{{- $pods := dict "name" "trireme_inference_pending_requests" "threshold" $signals.pendingRequests -}}
{{- dict "queries" $queries "gateway" $gateway "podMetric" $pods | toJson -}}
{{- end -}}

{{/* Signals of gateway, preprocess and postprocess: the requests that they have, as the gateway sees it. */}}
{{- define "trireme.serviceSignals" -}}
{{- $signals := .values.autoscaling.signals -}}
{{- $series := include "trireme.series" (dict "root" .root "service" (include "trireme.gatewayHeadless" .root)) -}}
{{- $query := printf "sum(rate(trireme_stage_duration_seconds_sum{%s,stage=\"%s\"}[1m]))" $series .component -}}
{{- if eq .component "gateway" -}}
{{- $query = printf "sum(model_active_requests{%s})" $series -}}
{{- end -}}
{{- $queries := list -}}
{{- with $signals.requestsInFlight -}}
{{- $queries = append $queries (dict "name" "requests-in-flight" "query" $query "threshold" .) -}}
{{- end -}}
{{- dict "queries" $queries | toJson -}}
{{- end -}}

{{/* Pools that may have no pod, as a YAML list. */}}
{{- define "trireme.idlePools" -}}
{{- $found := list -}}
{{- range $pool := include "trireme.pools" . | fromJsonArray -}}
{{- $scaling := include "trireme.poolValues" (dict "root" $ "pool" $pool) | fromJson | dig "autoscaling" dict -}}
{{- if $scaling.idleToZero -}}
{{- $found = append $found $pool -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* Whether a scaler of this release asks Prometheus. */}}
{{- define "trireme.asksPrometheus" -}}
{{- range include "trireme.scalings" . | fromJsonArray -}}
{{- if and (eq .type "keda") (not .idleToZero) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a pool's scaler reads a metric of its pods. */}}
{{- define "trireme.asksAdapter" -}}
{{- range include "trireme.scalings" . | fromJsonArray -}}
{{- if and (eq .type "hpa") .signals.pendingRequests (not .signals.metrics) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* The autoscaling of every service and pool, as a JSON list. */}}
{{- define "trireme.scalings" -}}
{{- $found := list -}}
{{- range $service := list "gateway" "preprocess" "postprocess" -}}
{{- $found = append $found (include "trireme.merged" (list $.Values.defaults (index $.Values $service)) | fromJson).autoscaling -}}
{{- end -}}
{{- range $pool := include "trireme.pools" . | fromJsonArray -}}
{{- $found = append $found (include "trireme.poolValues" (dict "root" $ "pool" $pool) | fromJson).autoscaling -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
