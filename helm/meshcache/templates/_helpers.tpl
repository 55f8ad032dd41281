{{- define "meshcache.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "meshcache.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "meshcache.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "meshcache.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: meshcache
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "meshcache.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "meshcache.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "meshcache.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "meshcache.keySecret" -}}
{{ .Values.meshKey.existingSecret | default (printf "%s-key" (include "meshcache.fullname" .)) }}
{{- end -}}

{{- define "meshcache.metricsSecret" -}}
{{ .Values.metrics.existingSecret | default (printf "%s-metrics" (include "meshcache.fullname" .)) }}
{{- end -}}

{{- define "meshcache.certSecret" -}}
{{- if eq .Values.webhook.certificate.source "existing" -}}
{{ required "webhook.certificate.existing.secret names no Secret" .Values.webhook.certificate.existing.secret }}
{{- else -}}
{{ include "meshcache.fullname" . }}-webhook
{{- end -}}
{{- end -}}

{{/* The first seed of every agent and guest: the headless Service, which names all agents. */}}
{{- define "meshcache.seed" -}}
{{ include "meshcache.fullname" . }}-agents.{{ .Release.Namespace }}.svc:7441
{{- end -}}

{{- define "meshcache.lifecycle" -}}
{{- $native := semverCompare ">=1.29-0" .Capabilities.KubeVersion.Version -}}
{{- $wanted := .Values.webhook.sidecar.lifecycle -}}
{{- if and (eq $wanted "native") (not $native) -}}
{{- fail (printf "webhook.sidecar.lifecycle: native needs Kubernetes 1.29, and this is %s: use auto or classic" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- eq $wanted "auto" | ternary (ternary "native" "classic" $native) $wanted -}}
{{- end -}}

{{/* In CEL: whether a pod has one of these labels with its value. */}}
{{- define "meshcache.anyLabel" -}}
{{- $each := list }}
{{- range $label, $value := . }}
{{- $each = append $each (printf "('%s' in object.metadata.labels && object.metadata.labels['%s'] == '%s')" $label $label $value) }}
{{- end -}}
(has(object.metadata.labels) && ({{ join " || " $each }}))
{{- end -}}

{{- define "meshcache.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "meshcache.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The webhook's container; beside it, an agent listens on /run/meshcache/agent.sock. */}}
{{- define "meshcache.webhookContainer" -}}
name: webhook
image: {{ include "meshcache.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - webhook
  - --listen=:8443
  - --tls-cert=/etc/meshcache/webhook-tls/tls.crt
  - --tls-key=/etc/meshcache/webhook-tls/tls.key
  {{- if .Values.webhook.clientCASecret }}
  - --client-ca=/etc/meshcache/webhook-client-ca/ca.crt
  {{- else if or .Values.webhook.trustCallers (and .Values.networkPolicy.enabled .Values.networkPolicy.apiServerFrom) }}
  - --trust-callers
  {{- end }}
  - --mesh-key-file=/etc/meshcache/key/mesh.key
  - --socket=/run/meshcache/agent.sock
  - --config=/etc/meshcache/config/webhook.yaml
  {{- range .Values.webhook.datasets }}
  - --dataset={{ . }}
  {{- end }}
ports:
  - name: webhook
    containerPort: 8443
readinessProbe:
  httpGet: {path: /readyz, port: webhook, scheme: HTTPS}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: webhook, scheme: HTTPS}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 6
resources: {{- toYaml .Values.webhook.resources | nindent 2 }}
securityContext: {{- include "meshcache.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: run, mountPath: /run/meshcache}
  - {name: key, mountPath: /etc/meshcache/key, readOnly: true}
  - {name: config, mountPath: /etc/meshcache/config, readOnly: true}
  - {name: webhook-tls, mountPath: /etc/meshcache/webhook-tls, readOnly: true}
  {{- if .Values.webhook.clientCASecret }}
  - {name: webhook-client-ca, mountPath: /etc/meshcache/webhook-client-ca, readOnly: true}
  {{- end }}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* The volumes of any pod with an agent in it. */}}
{{- define "meshcache.volumes" -}}
- name: key
  secret: {secretName: {{ include "meshcache.keySecret" . }}, defaultMode: 0440}
- name: metrics
  secret: {secretName: {{ include "meshcache.metricsSecret" . }}, defaultMode: 0440}
- name: config
  configMap: {name: {{ include "meshcache.fullname" . }}}
- name: run
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if .Values.webhook.enabled }}
- name: webhook-tls
  secret: {secretName: {{ include "meshcache.certSecret" . }}, defaultMode: 0440}
{{- with .Values.webhook.clientCASecret }}
- name: webhook-client-ca
  secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end -}}
