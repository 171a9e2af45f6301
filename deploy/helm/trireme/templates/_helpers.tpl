{{/* Base of all names: begins with a letter, as Services must, and has at most 36 characters, so that every suffix fits into 63. */}}
{{- define "trireme.fullname" -}}
{{- $name := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name)) -}}
{{- if regexMatch "^[0-9]" $name -}}
{{- $name = printf "r-%s" $name -}}
{{- end -}}
{{- if gt (len $name) 36 -}}
{{- printf "%s-%s" ($name | trunc 27 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* What a selector holds: nothing that changes with a version. Argument: dict root, component. */}}
{{- define "trireme.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "trireme.labels" -}}
{{ include "trireme.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Image by digest, else tag, else the chart's appVersion. Argument: dict root, image, suffix. */}}
{{- define "trireme.image" -}}
{{- $name := printf "%s/%s" (.root.Values.global.imageRegistry | trimSuffix "/") .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s%s" $name (.image.tag | default .root.Chart.AppVersion) (.suffix | default "") -}}
{{- end -}}
{{- end -}}

{{/* A map of names to values, or to `valueFrom` sources, as a list sorted by name. */}}
{{- define "trireme.env" -}}
{{- range $name := keys . | sortAlpha }}
{{- $value := index $ $name }}
- name: {{ $name }}
{{- if kindIs "map" $value }}
  valueFrom:
    {{- toYaml $value | nindent 4 }}
{{- else }}
  value: {{ include "trireme.scalar" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Numbers of values are floats: whole ones are written whole. */}}
{{- define "trireme.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* Argument: dict runAsUser, runAsGroup, fsGroup; what is null is for the cluster to fill in. */}}
{{- define "trireme.podSecurity" -}}
runAsNonRoot: true
{{- range $field := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- $id := index ($ | default dict) $field }}
{{- if not (kindIs "invalid" $id) }}
{{ $field }}: {{ int64 $id }}
{{- end }}
{{- end }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "trireme.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* The end of a pod's address comes before its SIGTERM. Native sleep is on by default from Kubernetes 1.30. */}}
{{- define "trireme.preStop" -}}
preStop:
  {{- if semverCompare ">=1.30-0" .root.Capabilities.KubeVersion.Version }}
  sleep:
    seconds: {{ int64 .seconds }}
  {{- else }}
  exec:
    command: [python, -c, "import time; time.sleep({{ int64 .seconds }})"]
  {{- end }}
{{- end -}}

{{/* Pods of one service over zones and nodes. Argument: dict selector, spread. */}}
{{- define "trireme.spread" -}}
{{- range $key, $topology := dict "host" "kubernetes.io/hostname" "zone" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $topology }}
  whenUnsatisfiable: {{ index $.spread $key }}
  # Pods of the version that goes do not push those of the next one aside.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- $.selector | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "trireme.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "trireme.fullname" .) -}}
{{- end -}}

{{/* What all pods say, of whatever service. Argument: the root. */}}
{{- define "trireme.podBase" -}}
serviceAccountName: {{ include "trireme.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
