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

{{- /* The version as a label may say it: of a digest, which has a colon and is too long, the first part. */ -}}
{{- define "ssebridge.version" -}}
{{- $version := .Values.image.tag | default .Chart.AppVersion }}
{{- if .Values.image.digest }}
{{- $version = .Values.image.digest | trimPrefix "sha256:" | trunc 12 }}
{{- end }}
{{- regexReplaceAll "[^A-Za-z0-9._-]" $version "-" | trunc 63 | trimAll "-_." }}
{{- end }}

{{- /* The image: pinned by its digest where there is one, else by its tag. */ -}}
{{- define "ssebridge.image" -}}
{{- $repository := required "image.repository is required: where you have pushed the image of `make image`, such as registry.example.com/ssebridge" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "ssebridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "ssebridge.selector" . }}
app.kubernetes.io/version: {{ include "ssebridge.version" . | quote }}
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
