{{/* Each refuses values with a sentence on what to do, and renders nothing. */}}

{{/* Refuses, unless the API is there. Argument: dict root, api, wish, name, otherwise. */}}
{{- define "nodepools.needApi" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "\n%s needs %s (%s), which this cluster lacks: install it, or %s." .wish .name .api .otherwise) -}}
{{- end -}}
{{- end -}}

{{- define "nodepools.validateProvider" -}}
{{- $provider := .Values.provider -}}
{{- $apis := dict
  "karpenterAws" (dict "karpenter.sh/v1" "Karpenter 1.6 or later" "karpenter.k8s.aws/v1" "Karpenter on AWS")
  "eksAuto" (dict "karpenter.sh/v1" "EKS Auto Mode" "eks.amazonaws.com/v1" "EKS Auto Mode")
  "karpenterAzure" (dict "karpenter.sh/v1" "AKS node auto-provisioning" "karpenter.azure.com/v1beta1" "AKS node auto-provisioning")
  "gke" (dict "cloud.google.com/v1" "GKE's ComputeClass") -}}
{{- range $api, $name := index $apis $provider | default dict -}}
{{- include "nodepools.needApi" (dict "root" $ "api" $api "wish" (printf "provider=%s" $provider) "name" $name "otherwise" "set provider to what makes nodes here") -}}
{{- end -}}
{{- if and (eq $provider "none") .Values.pools -}}
{{- fail "\npools are set, and provider=none would make none of them: set provider to karpenterAws, eksAuto, karpenterAzure or gke." -}}
{{- end -}}
{{- if and (eq $provider "gke") .Values.pools (not .Values.gke.quotaNamespaces) -}}
{{- fail "\nprovider=gke needs gke.quotaNamespaces: a ComputeClass has no limits of its own, so a ResourceQuota keeps those of the pools in the namespaces whose pods use them, such as [trireme]." -}}
{{- end -}}
{{- end -}}

{{- define "nodepools.validateHeadroom" -}}
{{- if include "nodepools.withHeadroom" . | fromJsonArray -}}
{{- if and (eq .Values.headroom.mode "pods") (not .Values.global.imageRegistry) -}}
{{- fail "\nA pool has headroom, whose pods run a pause image, and global.imageRegistry is empty. Mirror it:\n  docker pull registry.k8s.io/pause:3.10\n  docker tag registry.k8s.io/pause:3.10 <your registry>/pause:3.10 && docker push <your registry>/pause:3.10\nand install with:\n  --set global.imageRegistry=<your registry>" -}}
{{- end -}}
{{- if eq .Values.headroom.mode "capacityBuffer" -}}
{{- include "nodepools.needApi" (dict "root" . "api" (printf "autoscaling.x-k8s.io/%s" .Values.headroom.capacityBufferVersion) "wish" "headroom.mode=capacityBuffer" "name" "the CapacityBuffer API" "otherwise" "set headroom.capacityBufferVersion to the version that it has, or headroom.mode=pods") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a pool may cost is bounded. Argument: dict root, name, values. */}}
{{- define "nodepools.validateLimits" -}}
{{- $limits := .values.limits -}}
{{- if not $limits -}}
{{- fail (printf "\n%s.limits is empty: nothing would bound what the pool costs. Say the most that it may have, such as --set %s.limits.nvidia\\.com/gpu=8." .name .name) -}}
{{- end -}}
{{- if and .values.gpu.enabled (not (hasKey $limits "nvidia.com/gpu")) -}}
{{- fail (printf "\n%s.limits does not bound GPUs: add nvidia.com/gpu, or set %s.gpu.enabled=false if its nodes have none." .name .name) -}}
{{- end -}}
{{- if eq .root.Values.provider "gke" -}}
{{- range $key := keys $limits | sortAlpha -}}
{{- if ne $key "nvidia.com/gpu" -}}
{{- fail (printf "\n%s.limits.%s cannot be kept on GKE: leave it out here, and bound the cluster with `gcloud container clusters update --enable-autoprovisioning --max-cpu ... --max-memory ...`." $.name $key) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[1-9][0-9]*$" (include "nodepools.quantity" (index $limits "nvidia.com/gpu" | default 0))) -}}
{{- fail (printf "\n%s.limits.nvidia.com/gpu has to be a whole number above 0 on GKE." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Argument: dict root, name, values, and `said`: those of the pool alone, without poolDefaults. */}}
{{- define "nodepools.validatePool" -}}
{{- $provider := .root.Values.provider -}}
{{- $values := .values -}}
{{- if eq $provider "gke" -}}
{{- if not (and $values.gpu.enabled $values.gpu.names) -}}
{{- fail (printf "\n%s needs gpu.names on GKE, such as [nvidia-l4]. Pods without GPUs go to the cluster's other node pools, which grow where they have --enable-autoscaling." .name) -}}
{{- end -}}
{{- if or (gt (len $values.gpu.counts) 1) (gt (len $values.families) 1) -}}
{{- fail (printf "\n%s: a ComputeClass takes one number of GPUs and one machine family: keep one in gpu.counts and in families, or make a pool for each." .name) -}}
{{- end -}}
{{- if or $values.requirements $values.nodeClass (gt (int64 $values.weight) 0) -}}
{{- fail (printf "\n%s: requirements, nodeClass and weight are Karpenter's, and a ComputeClass has none: leave them out. The order of capacity, gpu.names and types says what is tried first." .name) -}}
{{- end -}}
{{- if or (hasKey .said "expireAfterHours") (hasKey .said "terminationGraceMinutes") (hasKey (.said.disruption | default dict) "budgets") -}}
{{- fail (printf "\n%s: expireAfterHours, terminationGraceMinutes and disruption.budgets are Karpenter's: leave them out. GKE replaces nodes within the cluster's maintenance windows." .name) -}}
{{- end -}}
{{- if ne $values.architecture "amd64" -}}
{{- fail (printf "\n%s.architecture=%s: a ComputeClass takes none, its machine types have one: leave it out." .name $values.architecture) -}}
{{- end -}}
{{- end -}}
{{- if and (has "reserved" $values.capacity) (not (has $provider (list "karpenterAws" "eksAuto"))) -}}
{{- fail (printf "\n%s.capacity: reserved is for karpenterAws and eksAuto, and provider=%s: leave it out." .name $provider) -}}
{{- end -}}
{{- if and (eq $provider "eksAuto") (or (eq (int64 $values.expireAfterHours) 0) (gt (int64 $values.expireAfterHours) 504)) -}}
{{- fail (printf "\n%s.expireAfterHours is %d: nodes of EKS Auto Mode live for 504 hours (21 days) at most. Say 1 to 504." .name (int64 $values.expireAfterHours)) -}}
{{- end -}}
{{- if and $values.gpu.enabled (gt (int64 $values.headroom.replicas) 0) -}}
{{- $most := 0 -}}
{{- range $count := $values.gpu.counts -}}
{{- $most = max $most (int64 $count) -}}
{{- end -}}
{{- if gt (int64 $values.headroom.gpus) $most -}}
{{- fail (printf "\n%s.headroom.gpus is %d, and a node of the pool has %d at most: none has room for such a pod. Lower it, or raise %s.gpu.counts." .name (int64 $values.headroom.gpus) $most .name) -}}
{{- end -}}
{{- end -}}
{{- range $budget := $values.disruption.budgets -}}
{{- if ne (hasKey $budget "schedule") (hasKey $budget "duration") -}}
{{- fail (printf "\n%s.disruption.budgets: schedule and duration come together: a budget without both is always active." $.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a node class that the chart makes on AWS lacks. Argument: dict root, name, values. */}}
{{- define "nodepools.validateAws" -}}
{{- $provider := .root.Values.provider -}}
{{- $aws := .root.Values.aws -}}
{{- if and (has $provider (list "karpenterAws" "eksAuto")) (not .values.nodeClass) -}}
{{- $complete := and (or $aws.role $aws.instanceProfile) $aws.subnetSelectorTerms $aws.securityGroupSelectorTerms -}}
{{- if and (eq $provider "karpenterAws") (not $complete) (not $aws.clusterName) -}}
{{- fail (printf "\n%s needs aws.clusterName: role, subnets and security groups of its nodes are found by it. Or say aws.role, aws.subnetSelectorTerms and aws.securityGroupSelectorTerms, or %s.nodeClass with one that exists." .name .name) -}}
{{- end -}}
{{- if and (eq $provider "eksAuto") (not $complete) -}}
{{- fail (printf "\n%s needs aws.role, aws.subnetSelectorTerms and aws.securityGroupSelectorTerms for a NodeClass of its own: EKS Auto Mode has neither the role nor the tags of Karpenter's guide. The cluster's own role is the last part of what this says:\n  aws eks describe-cluster --name <cluster> --query cluster.computeConfig.nodeRoleArn\nOr set %s.nodeClass=default." .name .name) -}}
{{- end -}}
{{- if and (has "reserved" .values.capacity) (not $aws.capacityReservationSelectorTerms) -}}
{{- fail (printf "\n%s.capacity: reserved needs aws.capacityReservationSelectorTerms, such as [{id: cr-...}]: without them no reservation is used." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Argument: dict root, name, values. */}}
{{- define "nodepools.validateSharing" -}}
{{- $provider := .root.Values.provider -}}
{{- $sharing := .values.sharing -}}
{{- if ne $sharing.mode "none" -}}
{{- if eq $provider "eksAuto" -}}
{{- fail (printf "\n%s.sharing.mode=%s: EKS Auto Mode runs the device plugin itself and lets nobody configure it. Use sharing.mode=none, or karpenterAws with the GPU operator." .name $sharing.mode) -}}
{{- end -}}
{{- if and (not $sharing.config) (or (ne $provider "gke") (eq $sharing.mode "mig")) -}}
{{- fail (printf "\n%s.sharing.mode=%s needs %s.sharing.config: with Karpenter the name of a configuration of the GPU operator, with GKE the size of a MIG part such as 1g.10gb." .name $sharing.mode .name) -}}
{{- end -}}
{{- if not .values.gpu.enabled -}}
{{- fail (printf "\n%s.sharing.mode=%s shares GPUs, and %s.gpu.enabled=false: set one or the other." .name $sharing.mode .name) -}}
{{- end -}}
{{- end -}}
{{- if eq .values.devices "dra" -}}
{{- if ne $provider "karpenterAws" -}}
{{- fail (printf "\n%s.devices=dra: provider=%s makes no nodes for resource claims. Use devices=plugin, or a node pool that is made by hand." .name $provider) -}}
{{- end -}}
{{- if not (semverCompare ">=1.34-0" .root.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "\n%s.devices=dra needs Kubernetes 1.34 or later, and this is %s: use devices=plugin." .name .root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if ne $sharing.mode "none" -}}
{{- fail (printf "\n%s.devices=dra takes no sharing.mode: DRA's own device classes share GPUs." .name) -}}
{{- end -}}
{{- if gt (int64 .values.headroom.replicas) 0 -}}
{{- fail (printf "\n%s.devices=dra takes no headroom: its pods ask for a device plugin's resource. Set %s.headroom.replicas=0, and minReplicas of the pool's pods higher." .name .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
