{{/* The name of the release, with the chart's name in it. */}}
{{- define "otel-ml.name" -}}
{{- (contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name)) | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What selects the pods of a component. Takes (list $ "collector"). */}}
{{- define "otel-ml.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "otel-ml.labels" -}}
{{ include "otel-ml.selector" . }}
app.kubernetes.io/part-of: otel-ml
{{- end }}

{{/* A file of the chart. Takes (list $ "collector/agent.yaml"). Its folders are links: some tools pack a chart without them. */}}
{{- define "otel-ml.file" -}}
{{- $root := index . 0 -}}
{{- $text := $root.Files.Get (printf "files/%s" (index . 1)) -}}
{{- if not $text }}{{ fail (printf "files/%s is missing: the folders below files/ are links into the repository. Make the chart with `helm package`, which follows them" (index . 1)) }}{{ end -}}
{{- $text -}}
{{- end }}

{{/* How the pods of a component run, after `spec:`. Takes (list $ "name of the service account"). */}}
{{- define "otel-ml.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ index . 1 }}
automountServiceAccountToken: false
# A Service beside it could set a variable that it reads, as one named otelcol-http sets OTELCOL_HTTP_PORT.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- /* OpenShift gives each namespace its own users and refuses others. */}}
  {{- if not ($root.Capabilities.APIVersions.Has "security.openshift.io/v1") }}
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "otel-ml.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* A volume of a StatefulSet. Takes (list "queue" "6Gi" storageClass). */}}
{{- define "otel-ml.claim" -}}
metadata:
  name: {{ index . 0 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with index . 2 }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests: { storage: {{ index . 1 }} }
{{- end }}
