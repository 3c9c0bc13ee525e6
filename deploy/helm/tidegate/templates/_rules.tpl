{{- /* Seeing, deciding and saying so: no write to anything that is not Tidegate's own. */ -}}
{{- define "tidegate.rules.observe" -}}
- apiGroups: [tidegate.dev]
  resources: [flinkautoscalers, scalingpolicies]
  verbs: [get, list, watch]
- apiGroups: [tidegate.dev]
  resources: [flinkautoscalers/status]
  verbs: [patch]
# The workloads that give jobs their slots, and their pods.
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [get, list]
# Where Flink's REST endpoint is.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
# Whether somebody else scales the same workload.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
# What is known of each job, in the ConfigMap tidegate-NAME beside its FlinkAutoscaler. Kubernetes cannot limit this to names
# that are not known beforehand.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, update, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- /* Another number of TaskManagers, and marks on the idle ones so that those go first. */ -}}
{{- define "tidegate.rules.scale" -}}
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [patch, update]
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
{{- end -}}

{{- /* Another size of a job, asked of the operator that runs it. Kubernetes cannot limit this to single fields. */ -}}
{{- define "tidegate.rules.operate" -}}
{{- $verbs := "get, patch" -}}
{{- if eq .Values.mode "dry-run" }}{{ $verbs = "get" }}{{ end -}}
{{- range .Values.operators }}
- apiGroups: [{{ index (splitList "/" .) 0 }}]
  resources: [{{ index (splitList "/" .) 1 }}]
{{- if eq $.Values.mode "sidecar" }}
  resourceNames: [{{ required "sidecar.operator names the one resource of the kinds in operators" $.Values.sidecar.operator }}]
{{- end }}
  verbs: [{{ $verbs }}]
{{- end }}
{{- end -}}

{{- /* Other arguments for JobManagers in application mode. Kubernetes can limit neither a patch to single fields, nor the creation of
Jobs to names. */ -}}
{{- define "tidegate.rules.manage" -}}
{{- $named := dict "Deployment" list "Job" list -}}
{{- range .Values.jobManagers }}
{{- $kind := index (splitList "/" .) 0 }}
{{- $_ := set $named $kind (append (get $named $kind) (index (splitList "/" .) 1)) }}
{{- end }}
{{- $acts := ne .Values.mode "dry-run" -}}
{{- with get $named "Deployment" }}
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ join ", " . }}]
  verbs: [{{ if $acts }}get, patch{{ else }}get{{ end }}]
{{- end }}
{{- with get $named "Job" }}
- apiGroups: [batch]
  resources: [jobs]
  resourceNames: [{{ join ", " . }}]
  verbs: [{{ if $acts }}get, delete{{ else }}get{{ end }}]
{{- if $acts }}
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create]
{{- end }}
{{- end }}
{{- end -}}

{{- /* One FlinkAutoscaler and its own TaskManagers. */ -}}
{{- define "tidegate.rules.sidecar" -}}
# Its own FlinkAutoscaler; the others are seen so that two for one job are noticed.
- apiGroups: [tidegate.dev]
  resources: [flinkautoscalers, scalingpolicies]
  verbs: [get, list, watch]
- apiGroups: [tidegate.dev]
  resources: [flinkautoscalers/status]
  resourceNames: [{{ .Values.sidecar.autoscaler }}]
  verbs: [patch]
- apiGroups: [apps]
  resources: [{{ lower .Values.sidecar.workload.kind }}s]
  resourceNames: [{{ .Values.sidecar.workload.name }}]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [{{ lower .Values.sidecar.workload.kind }}s/scale]
  resourceNames: [{{ .Values.sidecar.workload.name }}]
  verbs: [get, patch, update]
# Pods have names that nobody knows beforehand. Patching is marking the idle ones, so that those go first.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [metrics.k8s.io]
  resources: [pods]
  verbs: [get, list]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "tidegate.lease" . }}]
  verbs: [get, update, patch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [tidegate-{{ .Values.sidecar.autoscaler }}]
  verbs: [get, update, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
