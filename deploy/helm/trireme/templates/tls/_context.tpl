{{/* Secret with the certificate of the embedded Redis; empty where it is plain. */}}
{{- define "trireme.cacheTlsSecret" -}}
{{- if eq .Values.cache.mode "embedded" -}}
{{- if eq .Values.tls.mode "certManager" -}}
{{- printf "%s-cache-tls" (include "trireme.fullname" .) -}}
{{- else if eq .Values.tls.mode "existingSecrets" -}}
{{- .Values.tls.existingSecrets.cache -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Secret with the certificate of the route; empty where it has none of ours. */}}
{{- define "trireme.routeTlsSecret" -}}
{{- if and (eq .Values.tls.mode "certManager") .Values.route.hostnames (ne .Values.route.type "none") -}}
{{- .Values.route.tlsSecretName | default (printf "%s-route-tls" (include "trireme.fullname" .)) -}}
{{- else -}}
{{- .Values.route.tlsSecretName -}}
{{- end -}}
{{- end -}}

{{/* Certificate of cert-manager. Argument: dict root, component, name, secretName, dnsNames, issuerRef. */}}
{{- define "trireme.certificate" -}}
{{- $settings := .root.Values.tls.certManager -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  {{- include "trireme.metadata" . | nindent 2 }}
spec:
  secretName: {{ .secretName }}
  dnsNames:
    {{- range .dnsNames }}
    - {{ . | quote }}
    {{- end }}
  duration: {{ $settings.duration }}
  renewBefore: {{ $settings.renewBefore }}
  usages: [server auth]
  privateKey:
    algorithm: ECDSA
    size: 256
    rotationPolicy: Always
  issuerRef:
    {{- toYaml .issuerRef | nindent 4 }}
{{- end -}}
