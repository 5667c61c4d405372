{{- define "nadmit.labels" -}}
app.kubernetes.io/name: nadmit
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "nadmit.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:nadmit
{{- end }}

{{- define "nadmit.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "nadmit.failurePolicy" -}}
{{ ternary "Fail" "Ignore" .Values.failClosed }}
{{- end }}

{{/* What has the certificate's authority put into the webhook configurations. */}}
{{- define "nadmit.caAnnotations" -}}
{{- if eq .Values.certificates "certManager" }}
  annotations:
    cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/nadmit
{{- else if eq .Values.certificates "openshift" }}
  annotations:
    service.beta.openshift.io/inject-cabundle: "true"
{{- end }}
{{- end }}

{{- define "nadmit.namespaces" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values: {{ prepend .Values.excludedNamespaces .Release.Namespace | uniq | toJson }}
{{- end }}

{{- define "nadmit.subjects" -}}
- kind: ServiceAccount
  name: nadmit
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The namespace of Whereabouts's records. */}}
{{- define "nadmit.whereaboutsNamespace" -}}
{{- $usual := ternary "openshift-multus" "kube-system" (eq .Values.certificates "openshift") }}
{{- .Values.whereaboutsNamespace | default $usual }}
{{- end }}

{{/* nadmit.yaml: what was set, over what the platform wants. */}}
{{- define "nadmit.config" -}}
{{- $config := dict "mode" .Values.mode }}
{{- if eq .Values.certificates "openshift" }}
{{- $_ := set $config "namespaceIsolation" true }}
{{- $_ := set $config "globalNamespaces" (list "default" "openshift-multus" "openshift-sriov-network-operator" "openshift-cnv") }}
{{- end }}
{{- if ne .Values.whereabouts "observe" }}
{{- $_ := set $config "whereabouts" .Values.whereabouts }}
{{- end }}
{{- if .Values.whereaboutsNamespace }}
{{- $_ := set $config "whereaboutsNamespaces" (list .Values.whereaboutsNamespace) }}
{{- end }}
{{- if ne .Values.inlinePools "disabled" }}
{{- $_ := set $config "inlinePools" .Values.inlinePools }}
{{- end }}
{{- if ne .Release.Namespace "nadmit" }}
{{- $_ := set $config "ownUsers" (list (include "nadmit.user" .)) }}
{{- end }}
{{- mergeOverwrite $config .Values.config | toYaml }}
{{- end }}

{{- define "nadmit.otherNetworks" -}}
- name: not-by-nadmit
  expression: request.userInfo.username != "{{ include "nadmit.user" . }}"
- name: other-networks
  expression: >-
    ["k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network", "nadmit.io/requested-networks",
    "nadmit.io/requested-default-network", "nadmit.io/holder-token"].exists(k,
    object.metadata.?annotations[?k].orValue("") !=
    (request.operation == "UPDATE" ? oldObject.metadata.?annotations[?k].orValue("") : ""))
{{- end }}

{{- define "nadmit.checkedNetworks" -}}
- name: not-by-nadmit
  expression: request.userInfo.username != "{{ include "nadmit.user" . }}"
- name: other-networks
  expression: >-
    (["k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network", "nadmit.io/requested-networks",
    "nadmit.io/requested-default-network", "nadmit.io/holder-token"].exists(k,
    object.metadata.?annotations[?k].orValue("") !=
    (request.operation == "UPDATE" ? oldObject.metadata.?annotations[?k].orValue("") : "")) ||
    request.operation == "CREATE" && object.metadata.?annotations.orValue({}).exists(k,
    !k.endsWith("-status") &&
    (k.startsWith("k8s.v1.") || k.contains("cncf") || k.contains("multus")) && (k.contains("net") || k.contains("Net"))))
{{- end }}
