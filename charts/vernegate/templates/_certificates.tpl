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
{{- if include "vernegate.fetchesLists" . }}
- name: state
  {{- toYaml $c.crl.state.source | nindent 2 }}
{{- if or $c.crl.serverCA.secret $c.crl.serverCA.configMap }}
- name: crl-server # and no subPath: a file that changes counts without a restart
  projected:
    defaultMode: 0440
    sources:
      {{- include "vernegate.trustSource" (dict "from" $c.crl.serverCA "path" "ca.crt") | trim | nindent 6 }}
{{- end }}
{{- end }}
{{- if $c.ticketKeys.secret }}
- name: ticket-keys
  secret:
    secretName: {{ $c.ticketKeys.secret }}
    defaultMode: 0440
    items:
      - key: {{ $c.ticketKeys.key }}
        path: ticket.keys
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

{{/*
The files and URLs of CRLs, separated by commas; nothing if none is named.
*/}}
{{- define "vernegate.lists" -}}
{{- $c := .Values.certificates }}
{{- $lists := list }}
{{- if eq $c.source "volume" }}
{{- range $c.volume.crls }}
{{- $lists = append $lists (printf "%s/%s" $c.volume.mountPath .) }}
{{- end }}
{{- else if or $c.crl.secret $c.crl.configMap }}
{{- $lists = append $lists (printf "%s/ca.crl" (include "vernegate.certificatesPath" .)) }}
{{- end }}
{{- if $c.crl.volume.source }}
{{- $lists = append $lists (printf "/etc/vernegate/crl/%s" $c.crl.volume.file) }}
{{- end }}
{{- join "," (concat $lists $c.crl.urls) }}
{{- end }}

{{/*
Whose certificates may name where CRLs are: ca, leaf or nothing. YAML takes a bare off for false.
*/}}
{{- define "vernegate.distributionPoints" -}}
{{- if has .Values.certificates.crl.distributionPoints (list "ca" "leaf") }}{{ .Values.certificates.crl.distributionPoints }}{{ end }}
{{- end }}

{{/*
Whether CRLs are fetched over the network: yes or nothing.
*/}}
{{- define "vernegate.fetchesLists" -}}
{{- if or .Values.certificates.crl.urls (include "vernegate.distributionPoints" .) }}yes{{ end }}
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
{{- if include "vernegate.fetchesLists" . }}
- name: state
  mountPath: /var/lib/vernegate
{{- with .Values.certificates.crl.serverCA }}
{{- if or .secret .configMap }}
- name: crl-server
  mountPath: /etc/vernegate/crl-server
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.certificates.ticketKeys.secret }}
- name: ticket-keys
  mountPath: /etc/vernegate/tickets
  readOnly: true
{{- end }}
{{- end }}

{{/*
VERNEGATE_TLS_* and VERNEGATE_TICKET_KEYS for these files, as a YAML map. What is not named on a volume is left
to the program's defaults, or to VERNEMQ_CONF.
*/}}
{{- define "vernegate.certificateVariables" -}}
{{- $c := .Values.certificates }}
{{- $path := include "vernegate.certificatesPath" . }}
{{- if eq $c.source "volume" }}
{{- range $variable, $files := dict "VERNEGATE_TLS_CERT" $c.volume.certificates "VERNEGATE_TLS_KEY" $c.volume.privateKeys "VERNEGATE_TLS_CA" $c.volume.cas }}
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
{{- end }}
{{- with include "vernegate.lists" . }}
VERNEGATE_TLS_CRL: {{ . | quote }}
{{- end }}
{{- if include "vernegate.fetchesLists" . }}
VERNEGATE_STATE_DIR: /var/lib/vernegate
{{- if or $c.crl.serverCA.secret $c.crl.serverCA.configMap }}
VERNEGATE_CRL_CA: /etc/vernegate/crl-server/ca.crt
{{- end }}
{{- end }}
{{- if include "vernegate.distributionPoints" . }}
VERNEGATE_CRL_FROM_CDP: {{ $c.crl.distributionPoints }}
{{- end }}
{{- with $c.crl.hosts }}
VERNEGATE_CRL_HOSTS: {{ join "," . | quote }}
{{- end }}
{{- if $c.ticketKeys.secret }}
VERNEGATE_TICKET_KEYS: /etc/vernegate/tickets/ticket.keys
{{- end }}
{{- end }}
