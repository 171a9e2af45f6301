{{/* All that is scraped: list of the dicts of _component.tpl, with the name of the Service that has the metrics port. */}}
{{- define "trireme.scraped" -}}
{{- $found := list -}}
{{- range $component := list "gateway" "preprocess" "postprocess" -}}
{{- $name := printf "%s-%s" (include "trireme.fullname" $) $component -}}
{{- $found = append $found (dict "component" $component "name" $name) -}}
{{- end -}}
{{- range $pool := include "trireme.pools" . | fromJsonArray -}}
{{- $name := printf "%s-inference-%s" (include "trireme.fullname" $) $pool -}}
{{- $found = append $found (dict "component" "inference" "pool" $pool "name" $name) -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
