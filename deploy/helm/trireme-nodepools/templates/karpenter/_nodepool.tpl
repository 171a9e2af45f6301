{{/* What providers call the same thing: keys of requirements, and the group and kind of the node class. */}}
{{- define "nodepools.karpenterNames" -}}
karpenterAws:
  group: karpenter.k8s.aws
  kind: EC2NodeClass
  gpuName: karpenter.k8s.aws/instance-gpu-name
  gpuManufacturer: karpenter.k8s.aws/instance-gpu-manufacturer
  gpuCount: karpenter.k8s.aws/instance-gpu-count
  family: karpenter.k8s.aws/instance-family
  type: node.kubernetes.io/instance-type
eksAuto:
  group: eks.amazonaws.com
  kind: NodeClass
  gpuName: eks.amazonaws.com/instance-gpu-name
  gpuManufacturer: eks.amazonaws.com/instance-gpu-manufacturer
  gpuCount: eks.amazonaws.com/instance-gpu-count
  family: eks.amazonaws.com/instance-family
  type: node.kubernetes.io/instance-type
karpenterAzure:
  group: karpenter.azure.com
  kind: AKSNodeClass
  gpuName: karpenter.azure.com/sku-gpu-name
  gpuManufacturer: karpenter.azure.com/sku-gpu-manufacturer
  gpuCount: karpenter.azure.com/sku-gpu-count
  family: karpenter.azure.com/sku-family
  type: karpenter.azure.com/sku-name
{{- end -}}

{{- define "nodepools.requirement" -}}
{{- if .values }}
- key: {{ .key }}
  operator: In
  values: [{{ range $index, $value := .values }}{{ if $index }}, {{ end }}{{ include "nodepools.quantity" $value | quote }}{{ end }}]
{{- end }}
{{- end -}}

{{/* Argument: dict root, values. */}}
{{- define "nodepools.requirements" -}}
{{- $names := index (include "nodepools.karpenterNames" . | fromYaml) .root.Values.provider -}}
{{- $values := .values -}}
{{- include "nodepools.requirement" (dict "key" "kubernetes.io/os" "values" (list "linux")) }}
{{- include "nodepools.requirement" (dict "key" "kubernetes.io/arch" "values" (list $values.architecture)) }}
{{- include "nodepools.requirement" (dict "key" "karpenter.sh/capacity-type" "values" $values.capacity) }}
{{- include "nodepools.requirement" (dict "key" $names.family "values" $values.families) }}
{{- include "nodepools.requirement" (dict "key" $names.type "values" $values.types) }}
{{- include "nodepools.requirement" (dict "key" "topology.kubernetes.io/zone" "values" $values.zones) }}
{{- if $values.gpu.enabled }}
{{- include "nodepools.requirement" (dict "key" $names.gpuManufacturer "values" (list "nvidia")) }}
{{- include "nodepools.requirement" (dict "key" $names.gpuName "values" $values.gpu.names) }}
{{- include "nodepools.requirement" (dict "key" $names.gpuCount "values" $values.gpu.counts) }}
{{- end }}
{{- with $values.requirements }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "nodepools.nodePool" -}}
{{- $values := .values -}}
{{- $names := index (include "nodepools.karpenterNames" . | fromYaml) .root.Values.provider -}}
apiVersion: karpenter.sh/v1
kind: NodePool
metadata:
  {{- include "nodepools.kept" . | nindent 2 }}
spec:
  {{- if gt (int64 $values.weight) 0 }}
  weight: {{ int64 $values.weight }}
  {{- end }}
  limits:
    {{- range $key, $value := $values.limits }}
    {{ $key }}: {{ include "nodepools.quantity" $value | quote }}
    {{- end }}
  disruption:
    consolidationPolicy: {{ $values.disruption.policy }}
    consolidateAfter: {{ int64 $values.disruption.consolidateAfterMinutes }}m
    budgets:
      {{- toYaml $values.disruption.budgets | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "nodepools.nodeLabels" . | fromJson | toYaml | nindent 8 }}
    spec:
      nodeClassRef:
        group: {{ $names.group }}
        kind: {{ $names.kind }}
        name: {{ $values.nodeClass | default .name }}
      expireAfter: {{ if $values.expireAfterHours }}{{ int64 $values.expireAfterHours }}h{{ else }}Never{{ end }}
      terminationGracePeriod: {{ int64 $values.terminationGraceMinutes }}m
      {{- with include "nodepools.taints" $values | fromJsonArray }}
      taints:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      requirements:
        {{- include "nodepools.requirements" . | trim | nindent 8 }}
{{- end -}}
