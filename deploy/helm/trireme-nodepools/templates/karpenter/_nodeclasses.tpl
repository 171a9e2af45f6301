{{/* Where instances stand: by terms of the values, or by the tag that Karpenter's guide has. EKS Auto Mode sets neither that
tag nor the role below, so its values have to say both. Argument: dict root, terms. */}}
{{- define "nodepools.discovery" -}}
{{- with .terms -}}
{{ toYaml . }}
{{- else -}}
- tags:
    karpenter.sh/discovery: {{ .root.Values.aws.clusterName | quote }}
{{- end -}}
{{- end -}}

{{/* What both kinds of node class on AWS say. Argument: dict root. */}}
{{- define "nodepools.awsNetwork" -}}
{{- $aws := .root.Values.aws -}}
{{- if $aws.instanceProfile }}
instanceProfile: {{ $aws.instanceProfile | quote }}
{{- else }}
role: {{ $aws.role | default (printf "KarpenterNodeRole-%s" $aws.clusterName) | quote }}
{{- end }}
subnetSelectorTerms:
  {{- include "nodepools.discovery" (dict "root" .root "terms" $aws.subnetSelectorTerms) | nindent 2 }}
securityGroupSelectorTerms:
  {{- include "nodepools.discovery" (dict "root" .root "terms" $aws.securityGroupSelectorTerms) | nindent 2 }}
{{- with $aws.capacityReservationSelectorTerms }}
capacityReservationSelectorTerms:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $aws.tags }}
tags:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Bottlerocket keeps images and pods on its second disk. */}}
{{- define "nodepools.ec2NodeClass" -}}
{{- $aws := .root.Values.aws -}}
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata:
  {{- include "nodepools.kept" . | nindent 2 }}
spec:
  {{- include "nodepools.awsNetwork" . | trim | nindent 2 }}
  amiSelectorTerms:
    - alias: {{ $aws.amiAlias }}
  blockDeviceMappings:
    - deviceName: {{ ternary "/dev/xvdb" "/dev/xvda" (hasPrefix "bottlerocket@" $aws.amiAlias) }}
      ebs:
        volumeSize: {{ int64 $aws.diskGiB }}Gi
        volumeType: gp3
        encrypted: true
        deleteOnTermination: true
  metadataOptions:
    httpEndpoint: enabled
    httpTokens: required
    # Pods reach the role of their service account, not that of the node.
    httpPutResponseHopLimit: 1
{{- end -}}

{{- define "nodepools.autoNodeClass" -}}
apiVersion: eks.amazonaws.com/v1
kind: NodeClass
metadata:
  {{- include "nodepools.kept" . | nindent 2 }}
spec:
  {{- include "nodepools.awsNetwork" . | trim | nindent 2 }}
  ephemeralStorage:
    size: {{ int64 .root.Values.aws.diskGiB }}Gi
{{- end -}}

{{- define "nodepools.aksNodeClass" -}}
{{- $azure := .root.Values.azure -}}
apiVersion: karpenter.azure.com/v1beta1
kind: AKSNodeClass
metadata:
  {{- include "nodepools.kept" . | nindent 2 }}
spec:
  {{- with $azure.imageFamily }}
  imageFamily: {{ . }}
  {{- end }}
  osDiskSizeGB: {{ int64 $azure.diskGB }}
  {{- with $azure.vnetSubnetID }}
  vnetSubnetID: {{ . | quote }}
  {{- end }}
  {{- with $azure.tags }}
  tags:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
