{{/* One way to get a node. Argument: dict root, values, gpu, type, capacity. */}}
{{- define "nodepools.priority" -}}
{{- $values := .values -}}
- spot: {{ eq .capacity "spot" }}
  {{- if .type }}
  machineType: {{ .type }}
  {{- else if $values.families }}
  machineFamily: {{ first $values.families }}
  {{- end }}
  gpu:
    type: {{ .gpu }}
    count: {{ int64 (first $values.gpu.counts) }}
    driverVersion: {{ .root.Values.gke.driverVersion }}
    {{- if ne $values.sharing.mode "none" }}
    gpuSharing:
      {{- if eq $values.sharing.mode "mig" }}
      gpuPartitionSize: {{ $values.sharing.config | quote }}
      {{- else }}
      sharingStrategy: {{ ternary "MPS" "TIME_SHARING" (eq $values.sharing.mode "mps") }}
      maxSharedClientsPerGPU: {{ int64 $values.sharing.clients }}
      {{- end }}
    {{- end }}
  storage:
    bootDiskSize: {{ int64 .root.Values.gke.diskGB }}
{{- end -}}

{{/* The order is that of the values: capacity first, then kinds of GPU, then machine types. */}}
{{- define "nodepools.computeClass" -}}
{{- $context := . -}}
{{- $values := .values -}}
apiVersion: cloud.google.com/v1
kind: ComputeClass
metadata:
  {{- include "nodepools.kept" . | nindent 2 }}
spec:
  nodePoolAutoCreation:
    enabled: true
  whenUnsatisfiable: DoNotScaleUp
  activeMigration:
    optimizeRulePriority: {{ .root.Values.gke.activeMigration }}
  autoscalingPolicy:
    consolidationDelayMinutes: {{ int64 $values.disruption.consolidateAfterMinutes }}
    {{- if eq $values.disruption.policy "WhenEmpty" }}
    # Percent of its GPUs that are asked for, below which a node goes: only an empty one is below 1, and none below 0.
    gpuConsolidationThreshold: 1
    {{- end }}
  {{- with $values.zones }}
  priorityDefaults:
    location:
      zones:
        {{- toYaml . | nindent 8 }}
  {{- end }}
  nodePoolConfig:
    imageType: cos_containerd
    imageStreaming:
      enabled: {{ .root.Values.gke.imageStreaming }}
    nodeLabels:
      {{- include "nodepools.nodeLabels" . | fromJson | toYaml | nindent 6 }}
    {{- with $values.taints }}
    taints:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  priorities:
    {{- range $capacity := $values.capacity }}
    {{- range $gpu := $values.gpu.names }}
    {{- range $type := ($values.types | default (list "")) }}
    {{- include "nodepools.priority" (dict "root" $context.root "values" $values "gpu" $gpu "type" $type "capacity" $capacity) | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- end }}
{{- end -}}

{{/* Devices that all pools may have together: a GPU that is shared counts as many. */}}
{{- define "nodepools.devices" -}}
{{- $sum := 0 -}}
{{- range $pool := keys .Values.pools -}}
{{- $values := (include "nodepools.context" (dict "root" $ "pool" $pool) | fromJson).values -}}
{{- $each := ternary 1 (int64 $values.sharing.clients) (eq $values.sharing.mode "none") -}}
{{- $sum = add $sum (mul (int64 (index $values.limits "nvidia.com/gpu")) $each) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
