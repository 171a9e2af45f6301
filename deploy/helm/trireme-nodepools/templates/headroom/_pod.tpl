{{/* Nothing pulls the image of a capacity buffer, so that it needs no mirror. */}}
{{- define "nodepools.pauseImage" -}}
{{- $image := .Values.headroom.image -}}
{{- $name := printf "%s/%s" (.Values.global.imageRegistry | default "registry.k8s.io" | trimSuffix "/") $image.repository -}}
{{- if $image.digest }}{{ $name }}@{{ $image.digest }}{{ else }}{{ $name }}:{{ $image.tag }}{{ end -}}
{{- end -}}

{{/* A pod as large as one of inference that does nothing. Argument: dict root, pool, name, values. */}}
{{- define "nodepools.headroomPod" -}}
{{- $headroom := .values.headroom -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 0
{{- if eq .root.Values.headroom.mode "pods" }}
priorityClassName: {{ .root.Values.priorityClasses.headroom.name }}
{{- end }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
nodeSelector:
  {{- include "nodepools.nodeSelector" . | nindent 2 }}
{{- $tolerations := list -}}
{{- range include "nodepools.taints" .values | fromJsonArray -}}
{{- $tolerations = append $tolerations (dict "key" .key "operator" "Exists" "effect" .effect) -}}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65535
  runAsGroup: 65535
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: pause
    image: {{ include "nodepools.pauseImage" .root }}
    imagePullPolicy: {{ .root.Values.headroom.image.pullPolicy }}
    securityContext:
      allowPrivilegeEscalation: false
      privileged: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    resources:
      requests:
        cpu: {{ include "nodepools.cpu" $headroom.cpu | quote }}
        memory: {{ $headroom.memory }}
      limits:
        memory: {{ $headroom.memory }}
        {{- if and .values.gpu.enabled (gt (int64 $headroom.gpus) 0) }}
        nvidia.com/gpu: {{ int64 $headroom.gpus }}
        {{- end }}
{{- end -}}

{{- define "nodepools.cpu" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}
