{{/*
The variables that the chart sets, as a YAML map: what they say has to agree with the
rest of the pod. They cannot be set in env.
*/}}
{{- define "vernegate.ownVariables" -}}
VERNEGATE_LISTEN: ":8883"
{{- if .Values.listeners.services.enabled }}
VERNEGATE_SERVICE_LISTEN: ":9883"
{{- end }}
{{- if .Values.listeners.webSocket.enabled }}
VERNEGATE_WS_LISTEN: ":8884"
{{- end }}
{{- if .Values.listeners.alpn }}
VERNEGATE_LISTEN_ALPN: "true"
{{- end }}
{{- include "vernegate.certificateVariables" . }}
{{- if eq .Values.mode "sidecar" }}
VERNEGATE_BACKENDS: 127.0.0.1:1883
VERNEGATE_BACKEND_PROXY_PROTOCOL: {{ .Values.broker.proxyProtocol | quote }}
{{- else }}
VERNEGATE_BACKENDS: {{ join "," .Values.gateway.backends | quote }}
VERNEGATE_BACKEND_PROXY_PROTOCOL: {{ .Values.gateway.proxyProtocol | quote }}
{{- with .Values.gateway.tls }}
{{- if .enabled }}
VERNEGATE_BACKEND_TLS: "on"
{{- if .secret }}
VERNEGATE_BACKEND_TLS_CA: /etc/vernegate/brokers/ca.crt
{{- if .clientCertificate }}
VERNEGATE_BACKEND_TLS_CERT: /etc/vernegate/brokers/tls.crt
VERNEGATE_BACKEND_TLS_KEY: /etc/vernegate/brokers/tls.key
{{- end }}
{{- end }}
{{- with .serverName }}
VERNEGATE_BACKEND_TLS_SERVER_NAME: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
VERNEGATE_DRAIN_DELAY: {{ .Values.drain.delaySeconds }}s
VERNEGATE_DRAIN_TIMEOUT: {{ .Values.drain.timeoutSeconds }}s
VERNEGATE_ADMIN: ":8885"
{{- if .Values.admin.tokenSecret.name }}
VERNEGATE_ADMIN_TOKEN_FILE: /etc/vernegate/admin/token
{{- end }}
{{- with .Values.identity.file }}
{{- if .path }}
VERNEGATE_IDENTITY_FILE: {{ .path | quote }}
{{- else if or .configMap .secret }}
VERNEGATE_IDENTITY_FILE: /etc/vernegate/identity/owners
{{- end }}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if .enabled }}
VERNEGATE_KAFKA_TLS: "on"
{{- if .secret }}
VERNEGATE_KAFKA_TLS_CA: /etc/vernegate/kafka-tls/ca.crt
{{- if .clientCertificate }}
VERNEGATE_KAFKA_TLS_CERT: /etc/vernegate/kafka-tls/tls.crt
VERNEGATE_KAFKA_TLS_KEY: /etc/vernegate/kafka-tls/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.admin.readTokenSecret.name }}
VERNEGATE_ADMIN_READ_TOKEN_FILE: /etc/vernegate/admin-read/token
{{- end }}
{{- if .Values.kafka.passwordSecret.name }}
VERNEGATE_KAFKA_SASL_PASSWORD_FILE: /etc/vernegate/kafka/password
{{- end }}
{{- end }}

{{/*
The Secret for TLS to the brokers; empty if there is none.
*/}}
{{- define "vernegate.brokerSecret" -}}
{{- if and (eq .Values.mode "gateway") .Values.gateway.tls.enabled }}{{ .Values.gateway.tls.secret | default "" }}{{ end }}
{{- end }}

{{/*
The variables that the chart suggests, as a YAML map; env goes before.
*/}}
{{- define "vernegate.suggestedVariables" -}}
{{- with .Values.certificateAcl }}
{{- $elsewhere := list }}
{{- range $.Values.extraEnv }}
  {{- $elsewhere = append $elsewhere .name }}
{{- end }}
{{- if not (has "CERTIFICATE_ACL_URL" $elsewhere) }}
CERTIFICATE_ACL_URL: {{ .url | quote }}
{{- end }}
{{- if not (has "CERTIFICATE_ACL_REQ_TIMEOUT_MS" $elsewhere) }}
CERTIFICATE_ACL_REQ_TIMEOUT_MS: {{ .timeoutMs | int64 }}
{{- end }}
{{- if or .ca.secret .ca.configMap }}
VERNEGATE_ACL_CA: /etc/vernegate/certificate-acl/ca.crt
{{- end }}
{{- if .tokenSecret.name }}
VERNEGATE_ACL_TOKEN_FILE: /etc/vernegate/certificate-acl/token
{{- end }}
{{- end }}
{{- if eq .Values.mode "gateway" }}
VERNEGATE_READY_NEEDS_BROKER: "on"
{{- end }}
{{- if and (eq .Values.mode "sidecar") (not .Values.broker.vernemqConf) }}
VERNEGATE_MAX_CONNECTIONS: {{ .Values.broker.maxConnections | int64 }}
{{- end }}
{{- end }}

{{/*
What env or extraEnv says for a variable, given as (list $ name); empty if it is in neither,
and "(valueFrom)" where only the cluster knows.
*/}}
{{- define "vernegate.givenVariable" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $value := "" }}
{{- if hasKey $root.Values.env $name }}
  {{- $value = include "vernegate.scalar" (get $root.Values.env $name) }}
{{- end }}
{{- range $root.Values.extraEnv }}
  {{- if eq .name $name }}
    {{- $value = ternary "(valueFrom)" (toString (get . "value")) (hasKey . "valueFrom") }}
  {{- end }}
{{- end }}
{{- $value }}
{{- end }}

{{/* Where vernegate asks certificate-acl; "(valueFrom)" where only the cluster knows. */}}
{{- define "vernegate.certificateACLURL" -}}
{{- include "vernegate.givenVariable" (list . "CERTIFICATE_ACL_URL") | default .Values.certificateAcl.url }}
{{- end }}

{{/* Whether certificate-acl is a source of owners; empty if it is not, or only the cluster knows. */}}
{{- define "vernegate.asksCertificateACL" -}}
{{- $sources := include "vernegate.givenVariable" (list . "VERNEGATE_IDENTITY") | default "certificate-acl" }}
{{- if regexMatch "(^|,) *certificate-acl *(,|$)" $sources }}true{{ end }}
{{- end }}

{{/*
env of vernegate's container: the chart's variables, env, VERNEMQ_CONF, extraEnv.
*/}}
{{- define "vernegate.env" -}}
{{- $own := include "vernegate.ownVariables" . | fromYaml }}
{{- $variables := mergeOverwrite (include "vernegate.suggestedVariables" . | fromYaml) (deepCopy .Values.env) $own }}
{{- range $name, $value := $variables }}
- name: {{ $name }}
  value: {{ include "vernegate.scalar" $value | quote }}
{{- end }}
{{- include "vernegate.oldEnv" . }}
{{- end }}

{{/*
What the patched broker had, which both vernegate and its conversion read; and extraEnv,
where the rest of it may be.
*/}}
{{- define "vernegate.oldEnv" -}}
{{- if eq .Values.mode "sidecar" }}
{{- with .Values.broker.vernemqConf }}
- name: VERNEMQ_CONF
  value: {{ . | quote }}
# It may name this one.
- name: MY_POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
A value as text; a large number not as 1e+06.
*/}}
{{- define "vernegate.scalar" -}}
{{- if kindIs "float64" . }}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else }}{{ . }}
{{- end }}
{{- end }}

{{/*
vernegate's container. As a native sidecar it also has restartPolicy, and a preStop
hook that begins the drain.
*/}}
{{- define "vernegate.container" -}}
- name: vernegate
  image: {{ include "vernegate.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if eq .Values.mode "sidecar" }}
  restartPolicy: Always
  lifecycle:
    preStop:
      exec:
        command: ["/vernegate", "drain"]
  {{- end }}
  env:
    {{- include "vernegate.env" . | trim | nindent 4 }}
  ports:
    - name: mqtts
      containerPort: 8883
    {{- if .Values.listeners.services.enabled }}
    - name: mqtts-services
      containerPort: 9883
    {{- end }}
    {{- if .Values.listeners.webSocket.enabled }}
    - name: wss
      containerPort: 8884
    {{- end }}
    - name: admin
      containerPort: 8885
  livenessProbe:
    httpGet:
      path: /livez
      port: admin
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet:
      path: /readyz
      port: admin
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 2
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    {{- include "vernegate.certificateMounts" . | nindent 4 }}
    {{- if .Values.admin.tokenSecret.name }}
    - name: admin-token
      mountPath: /etc/vernegate/admin
      readOnly: true
    {{- end }}
    {{- if .Values.admin.readTokenSecret.name }}
    - name: admin-read-token
      mountPath: /etc/vernegate/admin-read
      readOnly: true
    {{- end }}
    {{- if include "vernegate.brokerSecret" . }}
    - name: brokers
      mountPath: /etc/vernegate/brokers
      readOnly: true
    {{- end }}
    {{- if include "vernegate.certificateACLFiles" . }}
    - name: certificate-acl
      mountPath: /etc/vernegate/certificate-acl
      readOnly: true
    {{- end }}
    {{- if or .Values.identity.file.configMap .Values.identity.file.secret }}
    - name: identity
      mountPath: /etc/vernegate/identity
      readOnly: true
    {{- end }}
    {{- if and .Values.kafka.tls.enabled .Values.kafka.tls.secret }}
    - name: kafka-tls
      mountPath: /etc/vernegate/kafka-tls
      readOnly: true
    {{- end }}
    {{- if .Values.kafka.passwordSecret.name }}
    - name: kafka-password
      mountPath: /etc/vernegate/kafka
      readOnly: true
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/*
What the pods of both modes have in common, but for containers and volumes of the broker.
*/}}
{{- define "vernegate.podSettings" -}}
serviceAccountName: {{ include "vernegate.serviceAccountName" . }}
# vernegate does not speak to Kubernetes; the broker has a token of its own.
automountServiceAccountToken: false
# A Service called vernegate would put variables named VERNEGATE_… into the pods.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "vernegate.gracePeriodSeconds" . }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range .Values.topologySpreadConstraints }}
  - {{ toYaml . | nindent 4 | trim }}
    {{- if not (hasKey . "labelSelector") }}
    labelSelector:
      matchLabels:
        {{- include "vernegate.selectorLabels" $ | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}

{{/*
Volumes of vernegate's own.
*/}}
{{- define "vernegate.volumes" -}}
{{- include "vernegate.certificateVolumes" . | trim }}
{{- with .Values.admin.tokenSecret }}
{{- if .name }}
- name: admin-token
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: token
{{- end }}
{{- end }}
{{- with .Values.admin.readTokenSecret }}
{{- if .name }}
- name: admin-read-token
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: token
{{- end }}
{{- end }}
{{- with include "vernegate.brokerSecret" . }}
- name: brokers
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: ca.crt
        path: ca.crt
      {{- if $.Values.gateway.tls.clientCertificate }}
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
      {{- end }}
{{- end }}
{{- with include "vernegate.certificateACLFiles" . }}
- name: certificate-acl
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with .Values.identity.file }}
{{- if or .configMap .secret }}
- name: identity
  projected: # and no subPath: a file that changes counts without a restart
    defaultMode: 0440
    sources:
      - {{ ternary "secret" "configMap" (not (empty .secret)) }}:
          name: {{ .secret | default .configMap }}
          items:
            - key: {{ .key }}
              path: owners
{{- end }}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if and .enabled .secret }}
- name: kafka-tls
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: ca.crt
        path: ca.crt
      {{- if .clientCertificate }}
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
      {{- end }}
{{- end }}
{{- end }}
{{- with .Values.kafka.passwordSecret }}
{{- if .name }}
- name: kafka-password
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: password
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The sources of the volume with what certificate-acl is spoken to with; empty if there are
none. A Secret that changes counts without a restart.
*/}}
{{- define "vernegate.certificateACLFiles" -}}
{{- with .Values.certificateAcl }}
{{- if or .ca.secret .ca.configMap }}
- {{ ternary "secret" "configMap" (not (empty .ca.secret)) }}:
    name: {{ .ca.secret | default .ca.configMap }}
    items:
      - key: {{ .ca.key }}
        path: ca.crt
{{- end }}
{{- if .tokenSecret.name }}
- secret:
    name: {{ .tokenSecret.name }}
    items:
      - key: {{ .tokenSecret.key }}
        path: token
{{- end }}
{{- end }}
{{- end }}
