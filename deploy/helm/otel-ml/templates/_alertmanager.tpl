{{/* The data of Alertmanager's ConfigMap: the shipped file, with the teams of the values in place of its examples. */}}
{{- define "otel-ml.alertmanager-config" -}}
{{- $file := include "otel-ml.file" (list . "alertmanager/alertmanager.yml") | fromYaml -}}
{{- $receivers := dict -}}
{{- range $file.receivers }}{{ $_ := set $receivers .name . }}{{ end -}}
{{- $shipped := list -}}
{{- range $file.route.routes -}}
  {{- if hasPrefix "team " (first .matchers) -}}
    {{- $receivers = omit $receivers .receiver -}}
    {{- range .routes }}{{ $receivers = omit $receivers .receiver }}{{ end -}}
  {{- else -}}
    {{- $shipped = append $shipped . -}}
  {{- end -}}
{{- end -}}
{{- range $kind, $receiver := .Values.platform -}}
  {{- $name := eq $kind "page" | ternary "platform-page" "platform" -}}
  {{- if $receiver }}{{ $_ := set $receivers $name (merge (dict "name" $name) $receiver) }}{{ end -}}
{{- end -}}
{{- $own := list -}}
{{- range $team, $heard := .Values.teams -}}
  {{- $route := dict "matchers" (list (printf "team = %q" $team)) -}}
  {{- with $heard.message -}}
    {{- $_ := set $receivers $team (merge (dict "name" $team) .) -}}
    {{- $_ := set $route "receiver" $team -}}
  {{- end -}}
  {{- with $heard.page -}}
    {{- $page := printf "%s-page" $team -}}
    {{- $_ := set $receivers $page (merge (dict "name" $page) .) -}}
    {{- $_ := set $route "routes" (list (dict "matchers" (list "severity = \"critical\"") "receiver" $page "repeat_interval" "1h")) -}}
  {{- end -}}
  {{- if or $heard.message $heard.page }}{{ $own = append $own $route }}{{ end -}}
{{- end -}}
{{- $_ := set $file.route "routes" (concat $own $shipped) -}}
{{- $all := list -}}
{{- range $receivers }}{{ $all = append $all . }}{{ end -}}
{{- $_ := set $file "receivers" $all -}}
alertmanager.yml: |
  {{- toYaml $file | nindent 2 }}
otel-ml.tmpl: |
  {{- include "otel-ml.file" (list . "alertmanager/templates/otel-ml.tmpl") | nindent 2 }}
{{- end }}
