{{- define "ssebridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ssebridge.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" }}
{{- else }}
{{- $name := include "ssebridge.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 55 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ssebridge.selector" -}}
app.kubernetes.io/name: {{ include "ssebridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ssebridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "ssebridge.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ssebridge.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "ssebridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The port of an address such as ":8080"; the schema holds its form. */ -}}
{{- define "ssebridge.port" -}}
{{- . | splitList ":" | last }}
{{- end }}

{{- /* The bridge's configuration: the values' own, and drain. */ -}}
{{- define "ssebridge.config" -}}
{{- $drain := dict "delay" (printf "%ds" (int .Values.drain.delaySeconds)) "grace" (printf "%ds" (int .Values.drain.graceSeconds)) }}
{{- merge (dict "drain" $drain) .Values.config | toYaml }}
{{- end }}
