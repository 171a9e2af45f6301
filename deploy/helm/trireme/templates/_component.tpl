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
  security   the container user (default 10001)
*/}}

{{/* Maps merged from left to right, level by level; unlike mergeOverwrite it lets 0, false and "" win. */}}
{{- define "trireme.merged" -}}
{{- $out := dict -}}
{{- range $map := . -}}
{{- range $key, $value := $map -}}
{{- if and (kindIs "map" $value) (kindIs "map" (index $out $key)) -}}
{{- $value = include "trireme.merged" (list (index $out $key) $value) | fromJson -}}
{{- end -}}
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
  emptyDir: {sizeLimit: 256Mi}
{{- if .values.sharedMemory }}
- name: shared-memory
  emptyDir: {medium: Memory, sizeLimit: {{ .values.sharedMemory }}}
{{- end }}
{{- if and .stage (eq .root.Values.model.source "pvc") }}
- name: models
  persistentVolumeClaim: {claimName: {{ .root.Values.model.pvc.claimName }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "trireme.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .values.sharedMemory }}
- {name: shared-memory, mountPath: /dev/shm}
{{- end }}
{{- if and .stage (eq .root.Values.model.source "pvc") }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- end -}}

{{- define "trireme.resources" -}}
{{- $resources := deepCopy .values.resources -}}
{{- if .gpu -}}
{{- $limits := set ($resources.limits | default dict) .values.gpu.resourceName (int64 .values.gpu.count) -}}
{{- $resources = set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- define "trireme.scheduling" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := .values.tolerations | default list -}}
{{- if .gpu -}}
{{- $tolerations = append $tolerations (dict "key" .values.gpu.resourceName "operator" "Exists" "effect" "NoSchedule") -}}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- include "trireme.spread" (include "trireme.componentSelector" .) | nindent 2 }}
{{- end -}}

{{- define "trireme.pod" -}}
{{- $shutdown := .values.shutdown -}}
{{- $env := include "trireme.merged" (list .env (include "trireme.shutdownEnv" . | fromYaml) .values.env) | fromJson -}}
serviceAccountName: {{ include "trireme.fullname" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "trireme.podSecurity" 10001 | nindent 2 }}
terminationGracePeriodSeconds: {{ add (int64 $shutdown.preStopSeconds) (int64 $shutdown.drainSeconds) 10 }}
{{ include "trireme.scheduling" . | trim }}
containers:
  - name: {{ .component }}
    image: {{ include "trireme.image" (dict "root" .root "image" .values.image "suffix" (ternary "-gpu" "" (.gpu | default false))) }}
    imagePullPolicy: {{ .values.image.pullPolicy }}
    securityContext:
      {{- include "trireme.containerSecurity" . | nindent 6 }}
    env:
      {{- include "trireme.env" $env | trim | nindent 6 }}
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
volumes:
  {{- include "trireme.volumes" . | nindent 2 }}
{{- end -}}

{{- define "trireme.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  {{- if ne (dig "autoscaling" "type" "none" .values) "hpa" }}
  replicas: {{ int64 .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  progressDeadlineSeconds: {{ add (int64 .startupSeconds) 300 }}
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
{{- define "trireme.stageService" -}}
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

{{- define "trireme.hpa" -}}
{{- if eq .values.autoscaling.type "hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ .name }}
  minReplicas: {{ int64 .values.autoscaling.minReplicas }}
  maxReplicas: {{ int64 .values.autoscaling.maxReplicas }}
  metrics:
    - type: ContainerResource
      containerResource:
        name: cpu
        container: {{ .component }}
        target:
          type: Utilization
          averageUtilization: {{ int64 .values.autoscaling.targetCPU }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 300
{{- end -}}
{{- end -}}

{{/* What the chart tells each stage. Argument: dict component. */}}
{{- define "trireme.stageEnv" -}}
{{- $prefix := printf "TRIREME_%s" (upper .component) -}}
TRIREME_MODELS_DIR: /models
{{ $prefix }}_PORT: {{ include "trireme.port" (dict "component" .component "port" "grpc") }}
{{ $prefix }}_METRICS_PORT: {{ include "trireme.port" (dict "component" .component "port" "metrics") }}
{{- end -}}
