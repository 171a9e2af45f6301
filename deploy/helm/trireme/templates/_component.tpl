{{/*
The one definition of a service of the platform. Each takes a dict:
  root       the chart's root
  component  its name in the topology
  name       of its objects
  values     defaults, the service's and the pool's values, merged
  pool       name of the pool, for inference
  env        what the chart itself sets; `values.env` wins
  stage      whether it is one of the three gRPC stages, which read the model repository
  startupSeconds  how long it may take to start
  gpu        whether its pods get GPUs
  signals    what its scaler looks at (_scaling.tpl)
  secretVolumes   Secrets that are mounted: list of dict name, secretName, mountPath, keys
*/}}

{{/* Maps merged from left to right, level by level; unlike mergeOverwrite it lets 0, false and "" win. Of `env` only
the variables are merged: what one comes from is replaced as a whole. */}}
{{- define "trireme.merged" -}}
{{- $out := dict -}}
{{- range $map := . -}}
{{- range $key, $value := $map -}}
{{- if and (kindIs "map" $value) (kindIs "map" (index $out $key)) -}}
{{- $value = include (ternary "trireme.replaced" "trireme.merged" (eq $key "env")) (list (index $out $key) $value) | fromJson -}}
{{- end -}}
{{- $out = set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* The same, one level deep. */}}
{{- define "trireme.replaced" -}}
{{- $out := dict -}}
{{- range $map := . -}}
{{- range $key, $value := $map -}}
{{- $out = set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{- define "trireme.componentSelector" -}}
{{ include "trireme.selector" . }}
{{- with .pool }}
trireme/pool: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "trireme.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "trireme.labels" . | nindent 2 }}
  {{- with .pool }}
  trireme/pool: {{ . | quote }}
  {{- end }}
{{- end -}}

{{/* Seconds of the drain in which a service says that it leaves; the rest is for what is under way. */}}
{{- define "trireme.announceSeconds" -}}3{{- end -}}

{{/* How the end of a process is timed: the same numbers for the pod's grace and for the server. */}}
{{- define "trireme.shutdownEnv" -}}
{{- $prefix := printf "TRIREME_%s" (upper .component) -}}
{{- $announce := include "trireme.announceSeconds" . | int64 -}}
{{ $prefix }}_DRAIN_SECONDS: {{ $announce }}
{{ $prefix }}_GRACE_SECONDS: {{ sub (int64 .values.shutdown.drainSeconds) $announce }}
{{- end -}}

{{- define "trireme.probes" -}}
{{- $ports := index (include "trireme.topology" . | fromYaml) .component "ports" -}}
{{- $probes := list
  (dict "name" "startup" "path" "/livez" "period" 5 "failures" (div (int64 .startupSeconds) 5))
  (dict "name" "readiness" "path" "/readyz" "period" 5 "failures" 2)
  (dict "name" "liveness" "path" "/livez" "period" 10 "failures" 6) -}}
{{- range $probes }}
{{ .name }}Probe:
  {{- if $ports.http }}
  httpGet: {path: {{ .path }}, port: http}
  {{- else }}
  grpc: {port: {{ int64 $ports.grpc }}, service: {{ .name }}}
  {{- end }}
  periodSeconds: {{ .period }}
  timeoutSeconds: 3
  failureThreshold: {{ .failures }}
{{- end }}
{{- end -}}

{{- define "trireme.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .values.tmpSize }}}
{{- if .values.sharedMemory }}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: {{ .values.sharedMemory }}}
{{- end }}
{{- if .stage }}
# What operators ordered, such as a version that was put back, outlives a container.
- name: state
  emptyDir: {sizeLimit: 64Mi}
{{- include "trireme.modelVolumes" . }}
{{- end }}
{{- range .secretVolumes }}
- name: {{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trireme.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .values.sharedMemory }}
- {name: shared-memory, mountPath: /dev/shm}
{{- end }}
{{- if .stage }}
- {name: state, mountPath: /var/lib/trireme}
{{- include "trireme.modelMounts" . }}
{{- end }}
{{- range .secretVolumes }}
- {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: true}
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The platform's variables, the fetch's where the stage follows it, and what the values say. */}}
{{- define "trireme.podEnv" -}}
{{- $parts := list (include "trireme.otelEnv" .root | fromYaml) .env (include "trireme.shutdownEnv" . | fromYaml) -}}
{{- if include "trireme.follows" . -}}
{{- $parts = concat $parts (list (include "trireme.fetchEnv" . | fromYaml) .root.Values.model.initFetch.env) -}}
{{- end -}}
{{- include "trireme.replaced" (append $parts .values.env) -}}
{{- end -}}

{{- define "trireme.otelEnv" -}}
{{- with .Values.otel -}}
{{- if .endpoint -}}
TRIREME_OTEL_EXPORTER_ENDPOINT: {{ .endpoint | quote }}
TRIREME_OTEL_SAMPLE_RATIO: {{ .sampleRatio }}
K8S_POD_NAME:
  fieldRef: {fieldPath: metadata.name}
OTEL_RESOURCE_ATTRIBUTES: "k8s.namespace.name={{ $.Release.Namespace }},k8s.pod.name=$(K8S_POD_NAME)"
{{- with .headersSecret }}
OTEL_EXPORTER_OTLP_HEADERS:
  secretKeyRef: {name: {{ . }}, key: headers}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "trireme.pod" -}}
{{- $shutdown := .values.shutdown -}}
{{ include "trireme.podBase" .root }}
securityContext:
  {{- include "trireme.podSecurity" .values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ add (int64 $shutdown.preStopSeconds) (int64 $shutdown.drainSeconds) 10 }}
{{ include "trireme.scheduling" . | trim }}
{{- if and .stage (eq .root.Values.model.source "initFetch") }}
initContainers:
  {{- include "trireme.fetchContainer" . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "trireme.componentImage" . }}
    imagePullPolicy: {{ .values.image.pullPolicy }}
    securityContext:
      {{- include "trireme.containerSecurity" . | nindent 6 }}
    env:
      {{- include "trireme.env" (include "trireme.podEnv" . | fromJson) | trim | nindent 6 }}
    {{- if include "trireme.follows" . }}
    {{- include "trireme.fetchSecrets" . | nindent 4 }}
    {{- end }}
    ports:
      {{- range $name, $port := index (include "trireme.topology" . | fromYaml) .component "ports" }}
      - {name: {{ $name }}, containerPort: {{ int64 $port }}, protocol: TCP}
      {{- end }}
    {{- include "trireme.probes" . | trim | nindent 4 }}
    {{- if gt (int64 $shutdown.preStopSeconds) 0 }}
    lifecycle:
      {{- include "trireme.preStop" (dict "root" .root "seconds" $shutdown.preStopSeconds) | nindent 6 }}
    {{- end }}
    resources:
      {{- include "trireme.resources" . | nindent 6 }}
    volumeMounts:
      {{- include "trireme.volumeMounts" . | nindent 6 }}
{{- if and .gpu (eq .values.gpu.mode "dra") }}
resourceClaims:
  - {name: gpu, resourceClaimTemplateName: {{ include "trireme.claimName" . }}}
{{- end }}
volumes:
  {{- include "trireme.volumes" . | nindent 2 }}
{{- end -}}

{{/* Seconds after which a rollout counts as stuck: later than the start of a pod may take. */}}
{{- define "trireme.progressSeconds" -}}
{{- $fetch := and .stage (eq .root.Values.model.source "initFetch") -}}
{{- add (int64 .startupSeconds) 300 (ternary (int64 .root.Values.model.initFetch.timeoutSeconds) 0 (not (not $fetch))) -}}
{{- end -}}

{{- define "trireme.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  {{- if eq .values.autoscaling.type "none" }}
  replicas: {{ int64 .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  progressDeadlineSeconds: {{ include "trireme.progressSeconds" . }}
  strategy:
    type: RollingUpdate
    # A GPU pod gets no second GPU for a moment: there the old one goes first.
    rollingUpdate: {{ ternary "{maxSurge: 0, maxUnavailable: 1}" "{maxSurge: 1, maxUnavailable: 0}" (.gpu | default false) }}
  selector:
    matchLabels:
      {{- include "trireme.componentSelector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- $labels := include "trireme.merged" (list (.values.podLabels | default dict) (include "trireme.componentSelector" . | fromYaml)) | fromJson }}
        {{- toYaml $labels | nindent 8 }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ .component }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "trireme.pod" . | nindent 6 }}
{{- end -}}

{{/* Headless: the gateway asks for the addresses and balances by itself; one address would pin it to one pod. */}}
{{- define "trireme.headlessService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "trireme.componentSelector" . | nindent 4 }}
  ports:
    - name: grpc
      port: {{ include "trireme.port" (dict "component" .component "port" "grpc") }}
      targetPort: grpc
      protocol: TCP
      appProtocol: kubernetes.io/h2c
    - name: metrics
      port: {{ include "trireme.port" (dict "component" .component "port" "metrics") }}
      targetPort: metrics
      protocol: TCP
{{- end -}}

{{- define "trireme.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ int64 .values.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "trireme.componentSelector" . | nindent 6 }}
{{- end -}}

{{/* What the chart tells each stage. Argument: dict root, component, and models where a pool has only some. */}}
{{- define "trireme.stageEnv" -}}
{{- $prefix := printf "TRIREME_%s" (upper .component) -}}
{{- $required := list -}}
{{- range $model := .root.Values.model.required -}}
{{- if or (not $.models) (has $model $.models) -}}
{{- $required = append $required $model -}}
{{- end -}}
{{- end -}}
TRIREME_MODELS_DIR: /models
TRIREME_STATE_DIR: /var/lib/trireme
{{ $prefix }}_PORT: {{ include "trireme.port" (dict "component" .component "port" "grpc") }}
{{ $prefix }}_METRICS_PORT: {{ include "trireme.port" (dict "component" .component "port" "metrics") }}
{{ $prefix }}_THREADS:
  resourceFieldRef: {resource: requests.cpu}
{{- with $required }}
{{ $prefix }}_REQUIRED_MODELS: {{ join "," . | quote }}
{{- end }}
{{- end -}}
