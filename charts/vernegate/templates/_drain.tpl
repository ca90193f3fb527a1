{{/*
How long things take when a pod is deleted, in whole seconds.

Gateway: vernegate gets SIGTERM, waits drain.delaySeconds, ends its sessions over
drain.timeoutSeconds, and has 15 s for what is left to write.

Sidecar: Kubernetes stops a native sidecar after the other containers. So its preStop
hook begins the drain, while the broker's preStop hook sleeps until the drain is over;
then the broker has broker.stopSeconds.
*/}}
{{- define "vernegate.drainSeconds" -}}
{{- add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 15 }}
{{- end }}

{{- define "vernegate.gracePeriodSeconds" -}}
{{- if eq .Values.mode "sidecar" }}
{{- add (include "vernegate.drainSeconds" .) .Values.broker.stopSeconds 5 }}
{{- else }}
{{- include "vernegate.drainSeconds" . }}
{{- end }}
{{- end }}
