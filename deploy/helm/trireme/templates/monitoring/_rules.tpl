{{/*
Alerts. In every expression each metric stands before a `{` with labels of this release, so that the names of the
metrics can be read from the rules by what stands there.
*/}}

{{/* Requests that count for the objectives: neither probes nor scrapes. */}}
{{- define "trireme.countedRequests" -}}
{{ include "trireme.series" (dict "root" . "service" (include "trireme.gatewayHeadless" .)) }},endpoint!~"/health|/livez|/readyz|/metrics|/scaling|/v2/health/.*|.*/Server(Live|Ready)"
{{- end -}}

{{/* Labels of the series of all stages. */}}
{{- define "trireme.stageSeries" -}}
namespace="{{ .Release.Namespace }}",service=~"{{ include "trireme.fullname" . }}-(preprocess|postprocess|inference-.+)"
{{- end -}}

{{/* Windows of the burn rates. */}}
{{- define "trireme.windows" -}}
{{- list "5m" "30m" "1h" "2h" "6h" "1d" "3d" | toJson -}}
{{- end -}}

{{- define "trireme.recordLabels" -}}
labels: {namespace: {{ .Release.Namespace | quote }}, release: {{ .Release.Name | quote }}}
{{- end -}}

{{- define "trireme.records" -}}
{{- $counted := include "trireme.countedRequests" . -}}
{{- $timed := printf "%s,endpoint!=\"/predict/batch\"" $counted -}}
{{- $within := .Values.monitoring.rules.latency.thresholdSeconds -}}
{{- range include "trireme.windows" . | fromJsonArray }}
- record: trireme:request_errors:ratio_rate{{ . }}
  expr: |-
    sum(rate(model_requests_total{ {{- $counted }},status=~"5..|INTERNAL|UNKNOWN|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"}[{{ . }}]))
      / sum(rate(model_requests_total{ {{- $counted }}}[{{ . }}]))
  {{ include "trireme.recordLabels" $ }}
- record: trireme:request_slow:ratio_rate{{ . }}
  expr: |-
    1 - sum(rate(model_request_duration_seconds_bucket{ {{- $timed }},le="{{ $within }}"}[{{ . }}]))
      / sum(rate(model_request_duration_seconds_count{ {{- $timed }}}[{{ . }}]))
  {{ include "trireme.recordLabels" $ }}
{{- end }}
{{- end -}}

{{/* Long and short window, how many times too fast the budget of 30 days burns, and for whom that is. */}}
{{- define "trireme.burns" -}}
- {long: 1h, short: 5m, factor: 14.4, severity: critical, for: 2m}
- {long: 6h, short: 30m, factor: 6, severity: critical, for: 15m}
- {long: 1d, short: 2h, factor: 3, severity: warning, for: 1h}
- {long: 3d, short: 6h, factor: 1, severity: warning, for: 3h}
{{- end -}}

{{/* Alerts of one objective. Argument: dict root, alert, record, objective, summary, runbook. */}}
{{- define "trireme.burnAlerts" -}}
{{- $series := printf "namespace=\"%s\",release=\"%s\"" .root.Release.Namespace .root.Release.Name -}}
{{- range include "trireme.burns" . | fromYamlArray }}
- alert: {{ $.alert }}
  expr: |-
    trireme:{{ $.record }}:ratio_rate{{ .long }}{ {{- $series }}} > ({{ .factor }} * (1 - {{ $.objective }} / 100))
      and trireme:{{ $.record }}:ratio_rate{{ .short }}{ {{- $series }}} > ({{ .factor }} * (1 - {{ $.objective }} / 100))
  for: {{ .for }}
  labels:
    {{- include "trireme.alertLabels" (dict "root" $.root "severity" .severity) | nindent 4 }}
    window: {{ .long }}
  annotations:
    summary: {{ printf "%s, %v times as fast as the objective of %v%% allows over 30 days." $.summary .factor $.objective | quote }}
    description: "Over {{ .long }} and over {{ .short }}: {{ `{{ $value | humanizePercentage }}` }} of the requests."
    runbook: {{ $.runbook | quote }}
{{- end }}
{{- end -}}

{{- define "trireme.alertLabels" -}}
severity: {{ .severity }}
{{- with omit .root.Values.monitoring.rules.alertLabels "severity" "window" }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* One alert. Argument: dict root, alert, expr, for, severity, summary, runbook. */}}
{{- define "trireme.alert" -}}
- alert: {{ .alert }}
  expr: |-
    {{- .expr | nindent 4 }}
  for: {{ .for }}
  labels:
    {{- include "trireme.alertLabels" . | nindent 4 }}
  annotations:
    summary: {{ .summary | quote }}
    runbook: {{ .runbook | quote }}
{{- end -}}
