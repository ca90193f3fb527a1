{{/*
What values.schema.json cannot say: settings that are each well-formed and do not go
together. Each writes a line, which says what to change; templates/checks.yaml fails with
all of them.
*/}}
{{- define "vernegate.checks" -}}
{{- include "vernegate.checkMode" . }}
{{- include "vernegate.checkCertificates" . }}
{{- include "vernegate.checkCertificateACL" . }}
{{- include "vernegate.checkIdentity" . }}
{{- include "vernegate.checkEnv" . }}
{{- include "vernegate.checkIngress" . }}
{{- include "vernegate.checkScaling" . }}
{{- end }}

{{- define "vernegate.checkMode" -}}
{{- $b := .Values.broker }}
{{- if eq .Values.mode "gateway" }}
  {{- if not .Values.gateway.backends }}
    {{- println "gateway.backends: name the brokers, such as vernemq-headless.mqtt.svc:1883, or set mode=sidecar to have the chart run VerneMQ" }}
  {{- end }}
  {{- if $b.vernemqConf }}
    {{- println "broker.vernemqConf: in mode gateway the chart runs no broker; remove it (vernegate reads VERNEMQ_CONF from extraEnv), or set mode=sidecar" }}
  {{- end }}
{{- else }}
  {{- if .Values.gateway.backends }}
    {{- println "gateway.backends: in mode sidecar the broker is the one in the same pod; remove it, or set mode=gateway" }}
  {{- end }}
  {{- if and (not $b.acceptEULA) (hasSuffix "vernemq/vernemq" $b.image.repository) }}
    {{- println "broker.acceptEULA: VerneMQ's published images start only when their terms are accepted; read them and set broker.acceptEULA=true, or set broker.image to an image of your own" }}
  {{- end }}
  {{- if and (gt (int .Values.replicas) 1) (not $b.clustering.enabled) }}
    {{- println "broker.clustering.enabled: brokers that know nothing of each other do not pass messages on; set it to true, or replicas=1" }}
  {{- end }}
  {{- if $b.vernemqConf }}
    {{- if or $b.config $b.acl }}
      {{- println "broker.vernemqConf: vernemq.conf and vmq.acl are then what \"vernegate convert\" makes of it; remove broker.config and broker.acl, or convert it once by hand and set these" }}
    {{- end }}
    {{- if eq $b.proxyProtocol "off" }}
      {{- println "broker.proxyProtocol: what \"vernegate convert\" makes of broker.vernemqConf expects a PROXY header; set v1 or v2" }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "vernegate.checkCertificates" -}}
{{- $c := .Values.certificates }}
{{- if eq $c.source "existingSecret" }}
  {{- if not $c.existingSecret.name }}
    {{- println "certificates.existingSecret.name: name the Secret with the server's certificate and key, or set certificates.source to certManager or volume" }}
  {{- end }}
{{- else if eq $c.source "certManager" }}
  {{- if not $c.certManager.issuerRef.name }}
    {{- println "certificates.certManager.issuerRef.name: name the Issuer or ClusterIssuer that is to sign the server's certificate" }}
  {{- end }}
  {{- if not $c.certManager.dnsNames }}
    {{- println "certificates.certManager.dnsNames: list the names that devices connect to" }}
  {{- end }}
  {{- if not (or $c.ca.secret $c.ca.configMap) }}
    {{- println "certificates.ca: name the Secret or ConfigMap with the CAs of the devices; the one that signs the server's certificate is not taken for it by itself" }}
  {{- end }}
{{- else }}
  {{- if not $c.volume.source }}
    {{- println "certificates.volume.source: say what the volume is, such as {emptyDir: {medium: Memory}} with a container in extraInitContainers that fills it" }}
  {{- end }}
  {{- if or $c.ca.secret $c.ca.configMap $c.crl.secret $c.crl.configMap }}
    {{- println "certificates.ca and certificates.crl: with certificates.source=volume these files are on the volume; name them in certificates.volume.cas and certificates.volume.crls" }}
  {{- end }}
  {{- if and $c.crl.volume.source $c.volume.crls }}
    {{- println "certificates.crl.volume: certificates.volume.crls names CRLs already; remove one of them" }}
  {{- end }}
  {{- if and $c.crl.urls (kindIs "slice" $c.volume.crls) (not $c.volume.crls) (not $c.crl.volume.source) }}
    {{- println "certificates.volume.crls: name the CRLs on the volume, such as ca.crl, as certificates.crl.urls are beside them; null if there are none" }}
  {{- end }}
{{- end }}
{{- if and $c.ca.secret $c.ca.configMap }}
  {{- println "certificates.ca: expected either secret or configMap" }}
{{- end }}
{{- if gt (len (compact (list $c.crl.secret $c.crl.configMap $c.crl.volume.source))) 1 }}
  {{- println "certificates.crl: expected one of secret, configMap and volume" }}
{{- end }}
{{- if and (include "vernegate.distributionPoints" .) (not $c.crl.hosts) }}
  {{- println "certificates.crl.hosts: name the hosts that certificates may send vernegate to, or set certificates.crl.distributionPoints to \"off\"" }}
{{- end }}
{{- if and $c.crl.serverCA.secret $c.crl.serverCA.configMap }}
  {{- println "certificates.crl.serverCA: expected either secret or configMap" }}
{{- end }}
{{- if and (or $c.crl.serverCA.secret $c.crl.serverCA.configMap) (not (include "vernegate.fetchesLists" .)) }}
  {{- println "certificates.crl.serverCA: no CRL is fetched; name URLs in certificates.crl.urls, or set certificates.crl.distributionPoints" }}
{{- end }}
{{- if and $c.crl.volume.source (not $c.crl.volume.file) }}
  {{- println "certificates.crl.volume.file: name the file with the CRLs on that volume" }}
{{- end }}
{{- end }}

{{- define "vernegate.checkCertificateACL" -}}
{{- $a := .Values.certificateAcl }}
{{- if and $a.ca.secret $a.ca.configMap }}
  {{- println "certificateAcl.ca: expected either secret or configMap" }}
{{- end }}
{{- if hasPrefix "http:" (include "vernegate.certificateACLURL" .) }}
  {{- if or $a.ca.secret $a.ca.configMap }}
    {{- println "certificateAcl.ca: vernegate refuses CAs for a certificate-acl that is asked by http; remove it, or set an https URL in certificateAcl.url" }}
  {{- end }}
  {{- range $name := list "VERNEGATE_ACL_CA" "VERNEGATE_ACL_CERT" "VERNEGATE_ACL_KEY" }}
    {{- if include "vernegate.givenVariable" (list $ $name) }}
      {{- printf "env: vernegate refuses %s for a certificate-acl that is asked by http; remove it, or set an https URL in certificateAcl.url" $name | println }}
    {{- end }}
  {{- end }}
{{- end }}
{{- /* The defaults, as in values.yaml: env alone is no contradiction. */}}
{{- range list
  (list "CERTIFICATE_ACL_URL" "url" $a.url "http://certificate-acl:3000/internal/api/v1/acl-entries/")
  (list "CERTIFICATE_ACL_REQ_TIMEOUT_MS" "timeoutMs" ($a.timeoutMs | int64 | toString) "1000")
}}
  {{- $given := include "vernegate.givenVariable" (list $ (index . 0)) }}
  {{- $value := index . 2 }}
  {{- if and $given (ne $given "(valueFrom)") (ne $value (index . 3)) (ne $value $given) }}
    {{- printf "env: %s is not what certificateAcl.%s says; remove one of them" (index . 0) (index . 1) | println }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "vernegate.checkIdentity" -}}
{{- with .Values.identity.file }}
{{- if gt (len (compact (list .configMap .secret .path))) 1 }}
  {{- println "identity.file: expected one of secret, configMap and path" }}
{{- end }}
{{- if and (or .configMap .secret .path) (not (regexMatch "(^|,) *file *(,|$)" (toString (get $.Values.env "VERNEGATE_IDENTITY")))) }}
  {{- println "identity.file: is not asked; set env.VERNEGATE_IDENTITY to a list with file in it, such as \"file,certificate-acl\"" }}
{{- end }}
{{- end }}
{{- end }}

{{/* What to set instead of a variable that is the chart's own. */}}
{{- define "vernegate.checkEnv" -}}
{{- $instead := dict
  "VERNEGATE_LISTEN" "service.port"
  "VERNEGATE_SERVICE_LISTEN" "listeners.services"
  "VERNEGATE_WS_LISTEN" "listeners.webSocket"
  "VERNEGATE_LISTEN_ALPN" "listeners.alpn"
  "VERNEGATE_TLS_CERT" "certificates"
  "VERNEGATE_TLS_KEY" "certificates"
  "VERNEGATE_TLS_CA" "certificates.ca"
  "VERNEGATE_TLS_CRL" "certificates.crl"
  "VERNEGATE_STATE_DIR" "certificates.crl.state"
  "VERNEGATE_CRL_FROM_CDP" "certificates.crl.distributionPoints"
  "VERNEGATE_CRL_HOSTS" "certificates.crl.hosts"
  "VERNEGATE_CRL_CA" "certificates.crl.serverCA"
  "VERNEGATE_TICKET_KEYS" "certificates.ticketKeys"
  "VERNEGATE_BACKENDS" "gateway.backends"
  "VERNEGATE_BACKEND_PROXY_PROTOCOL" "gateway.proxyProtocol or broker.proxyProtocol"
  "VERNEGATE_BACKEND_TLS" "gateway.tls"
  "VERNEGATE_BACKEND_TLS_CA" "gateway.tls"
  "VERNEGATE_BACKEND_TLS_CERT" "gateway.tls"
  "VERNEGATE_BACKEND_TLS_KEY" "gateway.tls"
  "VERNEGATE_BACKEND_TLS_SERVER_NAME" "gateway.tls"
  "VERNEGATE_DRAIN_DELAY" "drain.delaySeconds"
  "VERNEGATE_DRAIN_TIMEOUT" "drain.timeoutSeconds"
  "VERNEGATE_ADMIN" "networkPolicy.admin"
  "VERNEGATE_ADMIN_TOKEN" "admin.tokenSecret"
  "VERNEGATE_ADMIN_TOKEN_FILE" "admin.tokenSecret"
  "VERNEGATE_IDENTITY_FILE" "identity.file"
  "VERNEGATE_KAFKA_TLS" "kafka.tls"
  "VERNEGATE_KAFKA_TLS_CA" "kafka.tls"
  "VERNEGATE_KAFKA_TLS_CERT" "kafka.tls"
  "VERNEGATE_KAFKA_TLS_KEY" "kafka.tls"
  "VERNEGATE_ADMIN_READ_TOKEN" "admin.readTokenSecret"
  "VERNEGATE_ADMIN_READ_TOKEN_FILE" "admin.readTokenSecret"
  "VERNEGATE_KAFKA_SASL_PASSWORD_FILE" "kafka.passwordSecret"
}}
{{- $names := keys .Values.env }}
{{- range .Values.extraEnv }}
  {{- $names = append $names .name }}
{{- end }}
{{- range $name := $names | sortAlpha }}
  {{- with get $instead $name }}
    {{- printf "env: %s has to agree with the rest of the pod; set %s instead" $name . | println }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "vernegate.checkIngress" -}}
{{- $l := .Values.listeners }}
{{- if and $l.webSocket.enabled (eq (int $l.webSocket.port) (int .Values.service.port)) }}
  {{- println "listeners.webSocket.port: expected another port than service.port; for both on one, set listeners.alpn=true and listeners.webSocket.enabled=false" }}
{{- end }}
{{- if .Values.ingress.enabled }}
  {{- if not .Values.ingress.hosts }}
    {{- println "ingress.hosts: name the hosts that clients connect to" }}
  {{- end }}
  {{- if not (or $l.webSocket.enabled $l.alpn) }}
    {{- println "ingress.enabled: set listeners.webSocket.enabled=true or listeners.alpn=true, which is where the Ingress leads to" }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "vernegate.checkScaling" -}}
{{- $a := .Values.autoscaling }}
{{- if $a.enabled }}
  {{- if ne .Values.mode "gateway" }}
    {{- println "autoscaling.enabled: in mode sidecar every pod is a node of the broker's cluster, which must not come and go by itself; set it to false, or mode=gateway" }}
  {{- end }}
  {{- if gt (int $a.minReplicas) (int $a.maxReplicas) }}
    {{- println "autoscaling.minReplicas: expected no more than autoscaling.maxReplicas" }}
  {{- end }}
  {{- if not (or $a.targetCPUUtilizationPercentage $a.metrics) }}
    {{- println "autoscaling: set targetCPUUtilizationPercentage, metrics or both" }}
  {{- end }}
  {{- if and $a.targetCPUUtilizationPercentage (not (dig "requests" "cpu" "" .Values.resources)) }}
    {{- println "resources.requests.cpu: autoscaling.targetCPUUtilizationPercentage is relative to it; set it, or targetCPUUtilizationPercentage=null and autoscaling.metrics" }}
  {{- end }}
{{- end }}
{{- $p := .Values.podDisruptionBudget }}
{{- if and $p.enabled (kindIs "invalid" $p.minAvailable) (kindIs "invalid" $p.maxUnavailable) }}
  {{- println "podDisruptionBudget: set minAvailable or maxUnavailable, or enabled=false" }}
{{- end }}
{{- end }}
