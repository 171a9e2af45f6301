{{/*
The model repository of a stage, by `model.source`. Each takes the dict of _component.tpl; only stages have one.
*/}}

{{- define "trireme.modelVolumes" -}}
{{- $model := .root.Values.model -}}
{{- if eq $model.source "pvc" }}
- name: models
  persistentVolumeClaim: {claimName: {{ $model.pvc.claimName }}, readOnly: true}
{{- else if eq $model.source "image" }}
- name: models
  image:
    reference: {{ include "trireme.image" (dict "root" .root "image" $model.image) }}
    pullPolicy: {{ $model.image.pullPolicy }}
{{- else if eq $model.source "initFetch" }}
- name: models
  emptyDir: {sizeLimit: {{ int64 $model.initFetch.sizeGiB }}Gi}
{{- with $model.initFetch.filesSecret }}
- name: credentials
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}

{{- define "trireme.modelMounts" -}}
{{- $model := .root.Values.model -}}
{{- if has $model.source (list "pvc" "image") }}
- {name: models, mountPath: /models, readOnly: true}
{{- else if eq $model.source "initFetch" }}
- {name: models, mountPath: /models}
{{- if $model.initFetch.filesSecret }}
- {name: credentials, mountPath: /credentials, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{/* Variables of the fetch, and of a stage that goes on following its source. */}}
{{- define "trireme.fetchEnv" -}}
{{- $fetch := .root.Values.model.initFetch -}}
TRIREME_MODELS_DIR: /models
TRIREME_MODELS_SOURCE: {{ $fetch.url | quote }}
{{- with .values.models | default $fetch.models }}
TRIREME_MODELS_SOURCE_MODELS: {{ join "," . | quote }}
{{- end }}
TRIREME_MODELS_SOURCE_POLL_SECONDS: {{ int64 $fetch.pollSeconds }}
TRIREME_MODELS_SOURCE_ALLOW_HTTP: {{ $fetch.allowHttp }}
# Files that are still on their way need a place in the volume too.
TRIREME_MODELS_CACHE_BYTES: {{ div (mul (int64 $fetch.sizeGiB) 1073741824 9) 10 }}
{{- end -}}

{{- define "trireme.fetchSecrets" -}}
{{- with .root.Values.model.initFetch.existingSecret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{/* Whether the stage itself follows a source. */}}
{{- define "trireme.follows" -}}
{{- if and .stage (eq .root.Values.model.source "initFetch") .root.Values.model.initFetch.follow -}}true{{- end -}}
{{- end -}}

{{/* The fetch before the start: a line of progress every ten seconds in its log; what was begun is continued. */}}
{{- define "trireme.fetchContainer" -}}
{{- $fetch := .root.Values.model.initFetch -}}
{{- $env := include "trireme.replaced" (list .root.Values.defaults.env (include "trireme.fetchEnv" . | fromYaml) $fetch.env) | fromJson -}}
- name: models
  image: {{ include "trireme.componentImage" . }}
  imagePullPolicy: {{ .values.image.pullPolicy }}
  command:
    - python
    - -m
    - trireme_common.remote
    - fetch
    - --timeout-seconds
    - {{ int64 $fetch.timeoutSeconds | quote }}
    {{- if $fetch.follow }}
    # One bad model keeps no other away: with any version there the stage starts, and goes on fetching by itself.
    - --if-any
    {{- end }}
  securityContext:
    {{- include "trireme.containerSecurity" . | nindent 4 }}
  env:
    {{- include "trireme.env" $env | trim | nindent 4 }}
  {{- include "trireme.fetchSecrets" . | nindent 2 }}
  resources:
    {{- toYaml $fetch.resources | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- include "trireme.modelMounts" . | trim | nindent 4 }}
    {{- with .values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
