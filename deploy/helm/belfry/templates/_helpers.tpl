{{/* Names, labels, and what every pod of Belfry has alike. A part is `relay`, `notify`, `sessions`, `front`, or `belfry`, the single process. */}}

{{- define "belfry.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "belfry.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "belfry.labels" -}}
{{ include "belfry.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "belfry.isMany" -}}
{{- if .Values.redis.url }}many{{ end }}
{{- end }}

{{- define "belfry.secretName" -}}
{{- if .Values.secret.existing }}{{ .Values.secret.existing }}{{ else if or .Values.secret.value .Values.redis.url }}{{ include "belfry.name" . }}{{ end }}
{{- end }}

{{/* Given: root, part, and env, what this part has beyond the others. */}}
{{- define "belfry.container" -}}
- name: belfry
  image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  ports:
    - { name: http, containerPort: 8080 }
    - { name: metrics, containerPort: 9464 }
  env:
    - { name: BELFRY_METRICS, value: "0.0.0.0:9464" }
    - { name: BELFRY_TRUSTED_PROXIES, value: {{ .root.Values.trustedProxies | quote }} }
    {{- with .root.Values.publicUrl }}
    - { name: BELFRY_PUBLIC_URL, value: {{ . | quote }} }
    {{- end }}
    {{- $secret := include "belfry.secretName" .root }}
    {{- if $secret }}
    - name: BELFRY_SECRET
      valueFrom: { secretKeyRef: { name: {{ $secret }}, key: secret } }
    - name: BELFRY_SECRET_PREVIOUS
      valueFrom: { secretKeyRef: { name: {{ $secret }}, key: previous, optional: true } }
    {{- end }}
    {{- if .root.Values.redis.url }}
    - name: REDIS_URL
      valueFrom: { secretKeyRef: { name: {{ $secret }}, key: redis-url } }
    {{- end }}
    {{- range $name, $value := .env }}
    - { name: {{ $name }}, value: {{ $value | toString | quote }} }
    {{- end }}
    {{- range $name, $value := .root.Values.settings }}
    {{- if not (hasKey $.env $name) }}
    - { name: {{ $name }}, value: {{ $value | toString | quote }} }
    {{- end }}
    {{- end }}
  # It starts within a second; a large store is looked at first, for 30 s at most.
  startupProbe:
    httpGet: { path: /health, port: http }
    periodSeconds: 2
    failureThreshold: 60
  livenessProbe:
    httpGet: { path: /health, port: http }
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: { path: /ready, port: http }
    periodSeconds: 5
    timeoutSeconds: 3
  resources: {{- toYaml .root.Values.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
  volumeMounts:
    - { name: data, mountPath: /data }
    - { name: tmp, mountPath: /tmp }
{{- end }}

{{/* What every pod has alike. It has no use for the cluster's API, and its user is the image's. */}}
{{- define "belfry.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
# The server ends by itself within 10 seconds.
terminationGracePeriodSeconds: 15
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Of the front: the proxies that are believed. */}}
{{- define "belfry.realIp" -}}
{{- range list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "fc00::/7" }}
{{- printf "  set_real_ip_from %s;\n" . }}
{{- end }}
{{- end }}
