{{/*
vernemq.conf for stock VerneMQ. What follows "Nobody but vernegate" is what
"vernegate convert" writes.
*/}}
{{- define "vernegate.vernemqConf" -}}
{{- if .Values.broker.acceptEULA }}
accept_eula = yes
{{- end }}
metadata_plugin = vmq_swc
log.console = console
listener.http.default = 0.0.0.0:8888
listener.vmq.clustering = ###IPADDRESS###:44053
erlang.distribution.port_range.minimum = 9100
erlang.distribution.port_range.maximum = 9109
{{- with .Values.broker.config }}
{{ . | trim }}
{{- end }}

# Nobody but vernegate may reach this listener: it says who a client is.
listener.tcp.vernegate = 127.0.0.1:1883
listener.tcp.vernegate.proxy_protocol = {{ ternary "off" "on" (eq .Values.broker.proxyProtocol "off") }}
listener.tcp.vernegate.max_connections = {{ .Values.broker.maxConnections | int64 }}
allow_anonymous = on
plugins.vmq_passwd = off
plugins.vmq_acl = on
vmq_acl.acl_file = /vernemq/etc/vernegate/vmq.acl
{{- end }}

{{- define "vernegate.brokerImage" -}}
{{- $image := .Values.broker.image }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository $image.tag }}
{{- end }}
{{- end }}

{{/* The init container that turns VERNEMQ_CONF into files for stock VerneMQ. */}}
{{- define "vernegate.convertContainer" -}}
- name: convert
  image: {{ include "vernegate.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: ["convert", "-replace", "-out", "/converted/broker"]
  env:
    {{- include "vernegate.oldEnv" . | trim | nindent 4 }}
    {{- if .Values.broker.acceptEULA }}
    - name: DOCKER_VERNEMQ_ACCEPT_EULA
      value: "yes"
    {{- end }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    - name: converted
      mountPath: /converted
{{- end }}

{{/* "true" if the broker's image is laid out as VerneMQ's own. */}}
{{- define "vernegate.brokerIsStock" -}}
{{- $b := .Values.broker }}
{{- if ternary (hasSuffix "vernemq/vernemq" $b.image.repository) $b.stockImage (kindIs "invalid" $b.stockImage) }}true{{ end }}
{{- end }}

{{- define "vernegate.cookieSecret" -}}
{{- default (printf "%s-cookie" (include "vernegate.fullname" .)) .Values.broker.cookie.existingSecret }}
{{- end }}

{{/*
The init container that copies /vernemq/etc of the image to a volume, where the broker
may write, with the vm.args that each start begins with: a cookie there goes before others.
*/}}
{{- define "vernegate.prepareContainer" -}}
{{- $b := .Values.broker }}
- name: prepare
  image: {{ include "vernegate.brokerImage" . | quote }}
  imagePullPolicy: {{ $b.image.pullPolicy }}
  command:
    - sh
    - -euc
    - |
      case "$COOKIE" in
      '' | *[!A-Za-z0-9_-]*) echo "the Erlang cookie has to consist of letters, digits, - and _" >&2; exit 1 ;;
      esac
      cp -R /vernemq/etc/. /prepared/
      sed '/^-setcookie/d' /vernemq/etc/vm.args >/prepared/vm.args.prepared
      echo "-setcookie $COOKIE" >>/prepared/vm.args.prepared
  env:
    - name: COOKIE
      valueFrom:
        secretKeyRef:
          name: {{ include "vernegate.cookieSecret" . }}
          key: {{ $b.cookie.key }}
  securityContext:
    {{- include "vernegate.brokerSecurityContext" . | nindent 4 }}
  resources:
    {{- toYaml $b.resources | nindent 4 }}
  volumeMounts:
    - name: etc
      mountPath: /prepared
{{- end }}

{{/* A read-only root needs the volumes that a stock image gets. */}}
{{- define "vernegate.brokerSecurityContext" -}}
{{- $readOnly := and .Values.broker.readOnlyRootFilesystem (include "vernegate.brokerIsStock" .) }}
{{- toYaml (mergeOverwrite (dict "readOnlyRootFilesystem" (not (not $readOnly))) .Values.broker.securityContext) }}
{{- end }}

{{/* The broker's container. It is told to stop when vernegate has drained. */}}
{{- define "vernegate.brokerContainer" -}}
{{- $b := .Values.broker }}
- name: broker
  image: {{ include "vernegate.brokerImage" . | quote }}
  imagePullPolicy: {{ $b.image.pullPolicy }}
  {{- $command := $b.command }}
  {{- $args := $b.args }}
  {{- if include "vernegate.brokerIsStock" . }}
  {{- /* The image's command appends to vm.args and spoils what it appended before. The
         volume outlives the container, so each start has to begin with a fresh one. */}}
  {{- if not (or $command $args) }}
  {{- $args = list "start_vernemq" }}
  {{- end }}
  {{- $fresh := "cp /vernemq/etc/vm.args.prepared /vernemq/etc/vm.args; exec \"$@\"" }}
  {{- $command = concat (list "sh" "-euc" $fresh "sh") $command }}
  {{- end }}
  {{- with $command }}
  command:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $args }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  lifecycle:
    preStop:
      sleep:
        seconds: {{ include "vernegate.drainSeconds" . }}
  env:
    - name: MY_POD_NAME
      valueFrom:
        fieldRef:
          fieldPath: metadata.name
    {{- if $b.clustering.enabled }}
    - name: DOCKER_VERNEMQ_DISCOVERY_KUBERNETES
      value: "1"
    - name: DOCKER_VERNEMQ_KUBERNETES_LABEL_SELECTOR
      value: {{ include "vernegate.selectorLabels" . | fromYaml | include "vernegate.asSelector" | quote }}
    - name: DOCKER_VERNEMQ_KUBERNETES_CLUSTER_NAME
      value: {{ $b.clustering.clusterDomain | quote }}
    {{- end }}
    {{- if include "vernegate.brokerIsStock" . }}
    # Erlang's tools write a file there.
    - name: HOME
      value: /tmp
    {{- end }}
    {{- with $b.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - name: http
      containerPort: 8888
    {{- if $b.clustering.enabled }}
    - name: epmd
      containerPort: 4369
    - name: vmq
      containerPort: 44053
    {{- range untilStep 9100 9110 1 }}
    - name: dist-{{ . }}
      containerPort: {{ . }}
    {{- end }}
    {{- end }}
  {{- with $b.startupProbe }}
  startupProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $b.livenessProbe }}
  livenessProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $b.readinessProbe }}
  readinessProbe:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "vernegate.brokerSecurityContext" . | nindent 4 }}
  resources:
    {{- toYaml $b.resources | nindent 4 }}
  volumeMounts:
    {{- if include "vernegate.brokerIsStock" . }}
    - name: etc
      mountPath: /vernemq/etc
    - name: tmp
      mountPath: /tmp
    {{- end }}
    - name: data
      mountPath: /vernemq/data
    - name: log
      mountPath: /vernemq/log
    {{- if $b.vernemqConf }}
    - name: converted
      mountPath: /vernemq/etc/vernemq.conf.local
      subPath: broker/vernemq.conf
      readOnly: true
    - name: converted
      mountPath: /vernemq/etc/vernegate
      subPath: broker
      readOnly: true
    {{- else }}
    - name: broker
      mountPath: /vernemq/etc/vernemq.conf.local
      subPath: vernemq.conf
      readOnly: true
    # The whole folder: VerneMQ reads the ACL file again when it changes.
    - name: broker
      mountPath: /vernemq/etc/vernegate
      readOnly: true
    {{- end }}
    {{- if $b.clustering.enabled }}
    - name: broker-token
      mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      readOnly: true
    {{- end }}
    {{- with $b.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Labels as "a=b,c=d". */}}
{{- define "vernegate.asSelector" -}}
{{- $pairs := list }}
{{- range $name, $value := . }}
{{- $pairs = append $pairs (printf "%s=%s" $name $value) }}
{{- end }}
{{- join "," $pairs }}
{{- end }}

{{- define "vernegate.brokerVolumes" -}}
- name: log
  emptyDir: {}
{{- if include "vernegate.brokerIsStock" . }}
- name: etc
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- end }}
{{- if not .Values.broker.persistence.enabled }}
- name: data
  emptyDir: {}
{{- end }}
{{- if .Values.broker.vernemqConf }}
- name: converted
  emptyDir: {}
{{- else }}
- name: broker
  configMap:
    name: {{ include "vernegate.fullname" . }}
{{- end }}
{{- if .Values.broker.clustering.enabled }}
# What a mounted service account token consists of, for the broker alone.
- name: broker-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3607
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}
{{- end }}
