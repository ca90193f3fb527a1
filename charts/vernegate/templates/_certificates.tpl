{{/*
The folder that vernegate reads its trust files from.
*/}}
{{- define "vernegate.certificatesPath" -}}
{{- ternary .Values.certificates.volume.mountPath "/etc/vernegate/tls" (eq .Values.certificates.source "volume") }}
{{- end }}

{{/*
The Secret with the server's certificate and key.
*/}}
{{- define "vernegate.serverSecretName" -}}
{{- if eq .Values.certificates.source "certManager" }}
{{- default (printf "%s-tls" (include "vernegate.fullname" .)) .Values.certificates.certManager.secretName }}
{{- else }}
{{- .Values.certificates.existingSecret.name }}
{{- end }}
{{- end }}

{{/*
The volumes with the trust files. Secrets and ConfigMaps are projected into one
volume: Kubernetes then replaces all files together, and no restart is needed.
*/}}
{{- define "vernegate.certificateVolumes" -}}
{{- $c := .Values.certificates }}
- name: certificates
{{- if eq $c.source "volume" }}
  {{- toYaml $c.volume.source | nindent 2 }}
{{- else }}
  {{- $server := include "vernegate.serverSecretName" . }}
  {{- $certManager := eq $c.source "certManager" }}
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ $server }}
          items:
            - key: {{ ternary "tls.crt" $c.existingSecret.certificateKey $certManager }}
              path: tls.crt
            - key: {{ ternary "tls.key" $c.existingSecret.privateKeyKey $certManager }}
              path: tls.key
      {{- include "vernegate.trustSource" (dict "from" $c.ca "path" "ca.crt" "default" $server) | trim | nindent 6 }}
      {{- if or $c.crl.secret $c.crl.configMap }}
      {{- include "vernegate.trustSource" (dict "from" $c.crl "path" "ca.crl") | trim | nindent 6 }}
      {{- end }}
{{- end }}
{{- if $c.crl.volume.source }}
- name: crl
  {{- toYaml $c.crl.volume.source | nindent 2 }}
{{- end }}
{{- end }}

{{/*
One file of a projected volume.
from: certificates.ca or certificates.crl; path: the file; default: the Secret if none is named.
*/}}
{{- define "vernegate.trustSource" -}}
{{- if .from.configMap }}
- configMap:
    name: {{ .from.configMap }}
{{- else }}
- secret:
    name: {{ default .default .from.secret }}
{{- end }}
    items:
      - key: {{ .from.key }}
        path: {{ .path }}
{{- end }}

{{- define "vernegate.certificateMounts" -}}
- name: certificates
  mountPath: {{ include "vernegate.certificatesPath" . }}
  readOnly: true
{{- if .Values.certificates.crl.volume.source }}
- name: crl
  mountPath: /etc/vernegate/crl
  readOnly: true
{{- end }}
{{- end }}

{{/*
VERNEGATE_TLS_* for these files, as a YAML map. What is not named on a volume is left
to the program's defaults, or to VERNEMQ_CONF.
*/}}
{{- define "vernegate.certificateVariables" -}}
{{- $c := .Values.certificates }}
{{- $path := include "vernegate.certificatesPath" . }}
{{- if eq $c.source "volume" }}
{{- range $variable, $files := dict "VERNEGATE_TLS_CERT" $c.volume.certificates "VERNEGATE_TLS_KEY" $c.volume.privateKeys "VERNEGATE_TLS_CA" $c.volume.cas "VERNEGATE_TLS_CRL" $c.volume.crls }}
{{- if $files }}
{{- $paths := list }}
{{- range $files }}
{{- $paths = append $paths (printf "%s/%s" $path .) }}
{{- end }}
{{ $variable }}: {{ join "," $paths | quote }}
{{- end }}
{{- end }}
{{- else }}
VERNEGATE_TLS_CERT: {{ $path }}/tls.crt
VERNEGATE_TLS_KEY: {{ $path }}/tls.key
VERNEGATE_TLS_CA: {{ $path }}/ca.crt
{{- if or $c.crl.secret $c.crl.configMap }}
VERNEGATE_TLS_CRL: {{ $path }}/ca.crl
{{- end }}
{{- end }}
{{- if $c.crl.volume.source }}
VERNEGATE_TLS_CRL: /etc/vernegate/crl/{{ $c.crl.volume.file }}
{{- end }}
{{- end }}
