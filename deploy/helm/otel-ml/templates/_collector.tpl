{{/* The files that a Collector merges, in this order. Takes (list $ "collector"). */}}
{{- define "otel-ml.collector-files" -}}
{{- $root := index . 0 -}}
{{- $files := list "agent.yaml" "remote.yaml" -}}
{{- if eq (index . 1) "gateway" }}{{ $files = append $files "gateway.yaml" }}{{ end -}}
{{- $files = concat $files (index $root.Values (index . 1)).overlays -}}
{{- /* To gateways behind Kafka nothing is sent directly. */}}
{{- if and (eq (index . 1) "collector") $root.Values.gateway.enabled (not (has "to_kafka.yaml" $files)) }}{{ $files = append $files "to_gateway.yaml" }}{{ end -}}
{{- $files | join " " -}}
{{- end }}

{{/* What the chart tells a Collector: a variable or a comment a line. Takes (list $ "collector"). */}}
{{- define "otel-ml.collector-variables" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index $root.Values $component -}}
# Different for each Collector, the same after a restart.
- { name: OTELCOL_INSTANCE_ID, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
# IPv4 or IPv6: the pod listens where the Service sends to.
- { name: OTELCOL_BIND, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
- { name: OTELCOL_HEALTH_HOST, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
- { name: OTELCOL_TOKENS_FILE, value: /etc/otelcol-tokens/tokens }
- { name: OTELCOL_MEMORY_MIB, value: {{ int64 $values.memoryMiB | quote }} }
- { name: GOMEMLIMIT, value: {{ int64 $values.memoryMiB }}MiB }
- { name: OTELCOL_QUEUE_BYTES, value: {{ div (mul (int64 $values.queueGiB) 1073741824) 6 | quote }} }
# Where its own figures are from, and what services get that have no cluster or environment of their own.
- { name: OTELCOL_CLUSTER, value: {{ $root.Values.cluster | quote }} }
- { name: OTELCOL_ENVIRONMENT, value: {{ $root.Values.environment | quote }} }
- { name: POD_NAMESPACE, valueFrom: { fieldRef: { fieldPath: metadata.namespace } } }
- { name: OTEL_RESOURCE_ATTRIBUTES, value: k8s.namespace.name=$(POD_NAMESPACE) }
- { name: PROMETHEUS_OTLP_ENDPOINT, value: {{ $root.Values.backends.metrics | quote }} }
- { name: LOKI_OTLP_ENDPOINT, value: {{ $root.Values.backends.logs | quote }} }
- { name: TEMPO_OTLP_ENDPOINT, value: {{ $root.Values.backends.traces | quote }} }
{{- if and (eq $component "collector") $root.Values.gateway.enabled }}
# By name, so that a gateway which restarts keeps its traces.
- { name: OTELCOL_GATEWAYS, value: {{ include "otel-ml.gateways" $root | quote }} }
- { name: OTELCOL_GATEWAY_TOKEN_FILE, value: /etc/otelcol-tokens/gateway }
{{- end }}
{{- end }}

{{- define "otel-ml.collector-statefulset" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $values := index $root.Values $component -}}
{{- $name := printf "%s-%s" (include "otel-ml.name" $root) $component -}}
{{- range splitList " " (include "otel-ml.collector-files" .) -}}
{{- if and (has . (list "to_gateway.yaml" "clickhouse.yaml" "to_kafka.yaml" "from_kafka.yaml")) (contains "otel-ml-collector:" $values.image) -}}
{{- fail (printf "%s needs another %s.image: otel-ml-collector-gateway, the one of gateway_builder.yaml" . $component) -}}
{{- end -}}
{{- end -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "otel-ml.labels" . | nindent 4 }}
spec:
  serviceName: {{ $name }}
  replicas: {{ $values.replicas }}
  podManagementPolicy: Parallel
  selector:
    matchLabels:
      {{- include "otel-ml.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "otel-ml.labels" . | nindent 8 }}
      annotations:
        checksum/config: {{ include "otel-ml.collector-config" $root | sha256sum }}
    spec:
      {{- include "otel-ml.pod" (list $root $name) | nindent 6 }}
      # What waits is delivered or stays in the queue; a gateway decides about the traces that it holds.
      terminationGracePeriodSeconds: 60
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "otel-ml.selector" . | nindent 14 }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: otelcol
          image: {{ $values.image }}
          args:
            {{- range splitList " " (include "otel-ml.collector-files" .) }}
            - --config=/etc/otelcol/{{ . }}
            {{- end }}
            {{- if $values.config }}
            - --config=/etc/otelcol/own_{{ $component }}.yaml
            {{- end }}
          env:
            {{- /* A variable that is there twice is refused by server-side apply, which Helm 4 uses: that of the values wins. */}}
            {{- range include "otel-ml.collector-variables" . | trim | splitList "\n" }}
            {{- if not (hasKey (default dict $values.env) (regexReplaceAll "^- { name: (\\w+),.*$" . "${1}")) }}
            {{ . }}
            {{- end }}
            {{- end }}
            {{- range $variable, $value := $values.env }}
            {{- /* Helm reads numbers as floats, and would write 5000000 as 5e+06. */}}
            {{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ $value = int64 $value }}{{ end }}
            - { name: {{ $variable }}, value: {{ $value | toString | quote }} }
            {{- end }}
          ports:
            - { name: otlp-grpc, containerPort: 4317 }
            - { name: otlp-http, containerPort: 4318 }
            - { name: health, containerPort: 13133 }
          # Two minutes a GiB: after an outage the queues are full, and are compacted first.
          startupProbe:
            httpGet: { path: /, port: health }
            failureThreshold: {{ mul 60 (int64 $values.queueGiB) }}
            periodSeconds: 2
          # One that has much to do answers late: a restart would only add to it, and costs a gateway its traces.
          livenessProbe:
            httpGet: { path: /, port: health }
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: { path: /, port: health }
            periodSeconds: 5
            timeoutSeconds: 5
          resources:
            requests: { cpu: {{ $values.cpuRequest }}, memory: {{ div (int64 $values.memoryMiB) 2 }}Mi }
            limits: { cpu: {{ $values.cpuLimit | quote }}, memory: {{ div (mul (int64 $values.memoryMiB) 5) 4 }}Mi }
          securityContext:
            {{- include "otel-ml.container-security" $root | nindent 12 }}
          volumeMounts:
            - { name: config, mountPath: /etc/otelcol, readOnly: true }
            - { name: tokens, mountPath: /etc/otelcol-tokens, readOnly: true }
            {{- if $values.filesSecret }}
            - { name: files, mountPath: /etc/otelcol-secrets, readOnly: true }
            {{- end }}
            - { name: queue, mountPath: /var/lib/otelcol }
      volumes:
        - name: config
          configMap: { name: {{ include "otel-ml.name" $root }}-collector }
        - name: tokens
          secret:
            secretName: {{ $root.Values.tokensSecret }}
            defaultMode: 0440
            items:
              - { key: tokens, path: tokens }
              {{- if and (eq $component "collector") $root.Values.gateway.enabled }}
              - { key: gateway, path: gateway }
              {{- end }}
        {{- with $values.filesSecret }}
        - name: files
          secret: { secretName: {{ . }}, defaultMode: 0440 }
        {{- end }}
  volumeClaimTemplates:
    - {{ include "otel-ml.claim" (list "queue" (printf "%dGi" (int64 $values.queueGiB)) $values.storageClass) | nindent 6 | trim }}
{{- end }}

{{/* The data of the ConfigMap of all Collectors. Takes $. */}}
{{- define "otel-ml.collector-config" -}}
{{- $files := dict -}}
{{- range $component := list "collector" "gateway" -}}
{{- $values := index $.Values $component -}}
{{- if $values.enabled -}}
{{- range splitList " " (include "otel-ml.collector-files" (list $ $component)) -}}
{{- $_ := set $files . (include "otel-ml.file" (list $ (printf "collector/%s" .))) -}}
{{- end -}}
{{- with $values.config }}{{ $_ := set $files (printf "own_%s.yaml" $component) . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $file, $text := $files }}
{{ $file }}: |
  {{- $text | nindent 2 }}
{{- end }}
{{- end }}

{{/* HOST:PORT of each gateway, with commas between. Takes $. */}}
{{- define "otel-ml.gateways" -}}
{{- $name := printf "%s-gateway" (include "otel-ml.name" .) -}}
{{- $all := list -}}
{{- range until (int .Values.gateway.replicas) }}{{ $all = append $all (printf "%s-%d.%s.%s.svc:4317" $name . $name $.Release.Namespace) }}{{ end -}}
{{- join "," $all -}}
{{- end }}
