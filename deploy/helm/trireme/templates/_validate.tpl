{{/* Each refuses values with a sentence on what to do, and renders nothing. */}}

{{/* Refuses, unless the API is there. Argument: dict root, api, wish, name, otherwise. */}}
{{- define "trireme.needApi" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "\n%s needs %s (%s), which this cluster lacks: install it, or %s." .wish .name .api .otherwise) -}}
{{- end -}}
{{- end -}}

{{/* Refuses, unless Kubernetes is new enough. Argument: dict root, version, wish, otherwise. */}}
{{- define "trireme.needVersion" -}}
{{- if not (semverCompare (printf ">=%s-0" .version) .root.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "\n%s needs Kubernetes %s or later, and this is %s: %s." .wish .version .root.Capabilities.KubeVersion.Version .otherwise) -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validateRelease" -}}
{{- if not .Values.global.imageRegistry -}}
{{- fail "\nglobal.imageRegistry is required: the images are published under no public name.\nBuild them and push them from the root of the repository:\n  REGISTRY=<your registry> make images images-push\nand install with:\n  --set global.imageRegistry=<your registry>" -}}
{{- end -}}
{{- if and .Values.serviceAccount.name .Values.serviceAccount.annotations -}}
{{- fail "\nserviceAccount.annotations are for the account that the chart makes; serviceAccount.name is one that exists: annotate it yourself, or leave the name empty." -}}
{{- end -}}
{{- range $what := list "serviceMonitors" "rules" -}}
{{- if (index $.Values.monitoring $what).enabled -}}
{{- include "trireme.needApi" (dict "root" $ "api" "monitoring.coreos.com/v1" "wish" (printf "monitoring.%s.enabled" $what) "name" "the Prometheus operator" "otherwise" (printf "set monitoring.%s.enabled=false" $what)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validateModels" -}}
{{- $model := .Values.model -}}
{{- if and (eq $model.source "pvc") (not $model.pvc.claimName) -}}
{{- fail "\nmodel.source=pvc needs model.pvc.claimName: the claim that holds the model repository." -}}
{{- end -}}
{{- if and (eq $model.source "initFetch") (not $model.initFetch.url) -}}
{{- fail "\nmodel.source=initFetch needs model.initFetch.url: where the repository lies, such as s3://models/prod." -}}
{{- end -}}
{{- if and (regexMatch "^(http|oci\\+http)://" $model.initFetch.url) (not $model.initFetch.allowHttp) -}}
{{- fail (printf "\nmodel.initFetch.url=%s is not encrypted: use https:// or oci://, or say model.initFetch.allowHttp=true." $model.initFetch.url) -}}
{{- end -}}
{{- if and (ne $model.source "initFetch") $model.initFetch.url -}}
{{- fail (printf "\nmodel.initFetch.url is set, and model.source=%s would never read it: say model.source=initFetch, or leave the URL empty." $model.source) -}}
{{- end -}}
{{- if eq $model.source "image" -}}
{{- include "trireme.needVersion" (dict "root" . "version" "1.35" "wish" "model.source=image" "otherwise" "use model.source=initFetch with an oci:// URL, or model.source=pvc") -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validateOutside" -}}
{{- $route := .Values.route -}}
{{- $outside := or (ne $route.type "none") (ne .Values.gateway.service.type "ClusterIP") -}}
{{- if and $outside (not .Values.gateway.auth.allowAnonymous) -}}
{{- fail "\nThis would open the gateway to callers outside the cluster, and it knows no keys yet.\nKeep route.type=none and gateway.service.type=ClusterIP, or say gateway.auth.allowAnonymous=true if anyone who can reach it may use it and, where route.paths lets that in, manage its models." -}}
{{- end -}}
{{- include "trireme.validateRoute" . -}}
{{- $service := .Values.gateway.service -}}
{{- if and (eq $service.type "ClusterIP") $service.externalTrafficPolicy -}}
{{- fail "\ngateway.service.externalTrafficPolicy is for calls from outside, which gateway.service.type=ClusterIP does not take: leave it empty." -}}
{{- end -}}
{{- if and (ne $service.type "LoadBalancer") (or $service.loadBalancerClass $service.loadBalancerSourceRanges) -}}
{{- fail (printf "\ngateway.service.loadBalancerClass and loadBalancerSourceRanges are for gateway.service.type=LoadBalancer, and it is %s." $service.type) -}}
{{- end -}}
{{- if eq $route.type "httproute" -}}
{{- include "trireme.needApi" (dict "root" . "api" "gateway.networking.k8s.io/v1" "wish" "route.type=httproute" "name" "the Gateway API" "otherwise" "use route.type=ingress") -}}
{{- if not $route.parentRefs -}}
{{- fail "\nroute.type=httproute needs route.parentRefs: the Gateways to attach to, such as [{name: public, namespace: gateways}]." -}}
{{- end -}}
{{- range $route.grpcHostnames -}}
{{- if has . $route.hostnames -}}
{{- fail (printf "\nroute.grpcHostnames: %s is one of route.hostnames too. A Gateway takes an HTTPRoute or a GRPCRoute for a host name, not both: give gRPC a name of its own." .) -}}
{{- end -}}
{{- end -}}
{{- else if $route.grpcHostnames -}}
{{- fail "\nroute.grpcHostnames needs route.type=httproute: an Ingress knows nothing of gRPC that all controllers share." -}}
{{- end -}}
{{- if and (eq .Values.cache.mode "external") (not .Values.cache.external.existingSecret) -}}
{{- fail "\ncache.mode=external needs cache.external.existingSecret: the Secret that holds the URL of your Redis." -}}
{{- end -}}
{{- with $service.trafficDistribution -}}
{{- $close := eq . "PreferClose" -}}
{{- include "trireme.needVersion" (dict "root" $ "version" (ternary "1.31" "1.34" $close) "wish" (printf "gateway.service.trafficDistribution=%s" .) "otherwise" (ternary "leave it empty" "use PreferClose, or leave it empty" $close)) -}}
{{- end -}}
{{- end -}}

{{/* Values of the route that its type would not read. */}}
{{- define "trireme.validateRoute" -}}
{{- $route := .Values.route -}}
{{- $unread := dict "none" (list "hostnames" "annotations" "parentRefs" "ingressClassName" "tlsSecretName") "httproute" (list "ingressClassName") "ingress" (list "parentRefs") -}}
{{- $idle := list -}}
{{- range $name := index $unread $route.type -}}
{{- if index $route $name -}}
{{- $idle = append $idle (printf "route.%s" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $route.type "none") (ne (toJson $route.paths) `["/"]`) -}}
{{- $idle = append $idle "route.paths" -}}
{{- end -}}
{{- if $idle -}}
{{- fail (printf "\nroute.type=%s does not read %s: take that away, or say the type that reads it." $route.type (join ", " $idle)) -}}
{{- end -}}
{{- if and $route.grpcMethods (not $route.grpcHostnames) -}}
{{- fail "\nroute.grpcMethods says what comes in by route.grpcHostnames, and that is empty: name a host, or take the methods away." -}}
{{- end -}}
{{- if and (eq $route.type "httproute") $route.tlsSecretName (not (and (eq .Values.tls.mode "certManager") $route.hostnames)) -}}
{{- fail "\nroute.tlsSecretName would do nothing: with route.type=httproute TLS ends at the Gateway, whose listener names the Secret. Leave it empty, or say tls.mode=certManager and route.hostnames to have that Secret written." -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validateTls" -}}
{{- $tls := .Values.tls -}}
{{- $cache := eq .Values.cache.mode "embedded" -}}
{{- $route := and (ne .Values.route.type "none") .Values.route.hostnames -}}
{{- if eq $tls.mode "certManager" -}}
{{- include "trireme.needApi" (dict "root" . "api" "cert-manager.io/v1" "wish" "tls.mode=certManager" "name" "cert-manager" "otherwise" "use tls.mode=existingSecrets") -}}
{{- if not (or $cache $route) -}}
{{- fail "\ntls.mode=certManager has nothing to make a certificate for: the embedded Redis (cache.mode=embedded) and a route with route.hostnames have one. An external Redis is named by a rediss:// URL." -}}
{{- end -}}
{{- if not (or $tls.certManager.issuerRef.name (and (not $cache) $tls.certManager.routeIssuerRef.name)) -}}
{{- fail "\ntls.mode=certManager needs tls.certManager.issuerRef.name: the Issuer that signs, in this namespace, or a ClusterIssuer with kind=ClusterIssuer." -}}
{{- end -}}
{{- else if eq $tls.mode "existingSecrets" -}}
{{- if and $tls.existingSecrets.cache (not $cache) -}}
{{- fail (printf "\ntls.existingSecrets.cache is for the embedded Redis, and cache.mode=%s: leave it empty. An external Redis is named by a rediss:// URL." .Values.cache.mode) -}}
{{- end -}}
{{- if not (or $tls.existingSecrets.cache .Values.route.tlsSecretName) -}}
{{- fail "\ntls.mode=existingSecrets names no Secret: set tls.existingSecrets.cache or, with route.type=ingress, route.tlsSecretName." -}}
{{- end -}}
{{- else if $tls.existingSecrets.cache -}}
{{- fail "\ntls.existingSecrets.cache is set, and tls.mode=none would not use it: say tls.mode=existingSecrets." -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validateScaling" -}}
{{- range $service := list "gateway" "preprocess" "postprocess" -}}
{{- $scaling := (include "trireme.merged" (list $.Values.defaults (index $.Values $service)) | fromJson).autoscaling -}}
{{- include "trireme.validateScaler" (dict "root" $ "name" (printf "%s.autoscaling" $service) "scaling" $scaling) -}}
{{- $signals := $scaling.signals -}}
{{- if and (eq $scaling.type "hpa") (not (or $signals.cpuPercent $signals.metrics)) -}}
{{- fail (printf "\n%s.autoscaling has nothing to scale on: an hpa needs signals.cpuPercent or signals.metrics." $service) -}}
{{- end -}}
{{- if and (eq $scaling.type "keda") (not $signals.requestsInFlight) -}}
{{- fail (printf "\n%s.autoscaling.type=keda needs signals.requestsInFlight; CPU alone is what type=hpa is for." $service) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What holds of every scaler. Argument: dict root, name, scaling. */}}
{{- define "trireme.validateScaler" -}}
{{- $scaling := .scaling -}}
{{- if gt (int64 $scaling.minReplicas) (int64 $scaling.maxReplicas) -}}
{{- fail (printf "\n%s: minReplicas is larger than maxReplicas." .name) -}}
{{- end -}}
{{- if eq $scaling.type "keda" -}}
{{- include "trireme.needApi" (dict "root" .root "api" "keda.sh/v1alpha1" "wish" (printf "%s.type=keda" .name) "name" "KEDA 2.18 or later" "otherwise" (printf "set %s.type to hpa or none" .name)) -}}
{{- $replicas := int64 $scaling.fallback.replicas -}}
{{- if and $replicas (or (lt $replicas (int64 $scaling.minReplicas)) (gt $replicas (int64 $scaling.maxReplicas))) -}}
{{- fail (printf "\n%s.fallback.replicas is %d, outside of minReplicas (%d) and maxReplicas (%d)." .name $replicas (int64 $scaling.minReplicas) (int64 $scaling.maxReplicas)) -}}
{{- end -}}
{{- if $scaling.signals.metrics -}}
{{- fail (printf "\n%s.signals.metrics are for type=hpa; with keda use signals.requestsInFlight, or a ScaledObject of your own in extraObjects." .name) -}}
{{- end -}}
{{- end -}}
{{- if ne $scaling.type "none" -}}
{{- range $way := list "scaleUp" "scaleDown" -}}
{{- if hasKey (dig $way dict $scaling.behavior) "tolerance" -}}
{{- include "trireme.needVersion" (dict "root" $.root "version" "1.35" "wish" (printf "%s.behavior.%s.tolerance" $.name $way) "otherwise" "leave it out") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validatePools" -}}
{{- $external := .Values.inference.external.addresses -}}
{{- if and $external (ne (toJson .Values.inference.pools) `{"default":{}}`) -}}
{{- fail (printf "\ninference.external.addresses is set, and the pools %s would get no request: leave inference.pools as it is, or take the addresses away." (keys .Values.inference.pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if not (or .Values.inference.pools $external) -}}
{{- fail "\ninference.pools needs at least one pool, or inference.external.addresses a server." -}}
{{- end -}}
{{- range $pool := include "trireme.pools" . | fromJsonArray -}}
{{- $name := printf "inference.pools.%s" $pool -}}
{{- $values := include "trireme.poolValues" (dict "root" $ "pool" $pool) | fromJson -}}
{{- include "trireme.validateScaler" (dict "root" $ "name" (printf "%s.autoscaling" $name) "scaling" $values.autoscaling) -}}
{{- if $values.autoscaling.idleToZero -}}
{{- include "trireme.validateIdle" (dict "root" $ "name" $name "scaling" $values.autoscaling) -}}
{{- end -}}
{{- if eq $values.gpu.mode "dra" -}}
{{- include "trireme.needVersion" (dict "root" $ "version" "1.34" "wish" (printf "%s.gpu.mode=dra" $name) "otherwise" "use gpu.mode=extended, which a device plugin serves") -}}
{{- end -}}
{{- include "trireme.validatePoolImage" (dict "root" $ "pool" $pool "name" $name "values" $values) -}}
{{- include "trireme.validatePoolModels" (dict "root" $ "name" $name "values" $values) -}}
{{- end -}}
{{- end -}}

{{/* A digest names one image: that of the pools on CPU is none for GPUs. Argument: dict root, pool, name, values. */}}
{{- define "trireme.validatePoolImage" -}}
{{- $inference := .root.Values.inference -}}
{{- $own := dig "image" "digest" "" (index $inference.pools .pool | default dict) -}}
{{- if and (ne .values.gpu.mode "none") .values.image.digest (not $own) (not (dig "image" "digest" "" $inference.poolDefaults)) -}}
{{- fail (printf "\n%s takes the image of inference.image.digest, which gpu.imageSuffix cannot turn into one for GPUs: give %s.image.digest, or inference.poolDefaults.image.digest, the digest of the image %s." .name .name (include "trireme.image" (dict "root" .root "image" (omit .values.image "digest") "suffix" .values.gpu.imageSuffix))) -}}
{{- end -}}
{{- end -}}

{{/* The models that a pool takes of the repository. Argument: dict root, name, values. */}}
{{- define "trireme.validatePoolModels" -}}
{{- $model := .root.Values.model -}}
{{- if and .values.models (ne $model.source "initFetch") -}}
{{- fail (printf "\n%s.models needs model.source=initFetch, and it is %s: pods of the other sources serve all models of the repository, so leave models empty." .name $model.source) -}}
{{- end -}}
{{- range .values.models -}}
{{- if and $model.initFetch.models (not (has . $model.initFetch.models)) -}}
{{- fail (printf "\n%s.models: %s is none of model.initFetch.models, which preprocess and postprocess fetch: add it there, or leave that list empty." $.name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A pool that may have no pod. Argument: dict root, name, scaling. */}}
{{- define "trireme.validateIdle" -}}
{{- $gateway := .root.Values.gateway -}}
{{- if ne .scaling.type "keda" -}}
{{- fail (printf "\n%s.autoscaling.idleToZero needs autoscaling.type=keda, and it is %s: nothing else brings a pool back from zero." .name .scaling.type) -}}
{{- end -}}
{{- if not (and $gateway.queue.maxDepth $gateway.queue.maxWaitSeconds) -}}
{{- fail (printf "\n%s.autoscaling.idleToZero needs a gateway that holds requests while a pod starts: set gateway.queue.maxDepth and gateway.queue.maxWaitSeconds above 0." .name) -}}
{{- end -}}
{{- if gt (int64 $gateway.queue.maxWaitSeconds) (int64 $gateway.requestTimeoutSeconds) -}}
{{- fail (printf "\ngateway.queue.maxWaitSeconds is %d, and gateway.requestTimeoutSeconds=%d ends requests before: raise the one or lower the other." (int64 $gateway.queue.maxWaitSeconds) (int64 $gateway.requestTimeoutSeconds)) -}}
{{- end -}}
{{- end -}}

{{- define "trireme.validateShutdown" -}}
{{- $least := add (int64 .Values.gateway.requestTimeoutSeconds) (include "trireme.announceSeconds" . | int64) -}}
{{- range $service := list "gateway" "preprocess" "postprocess" -}}
{{- $values := include "trireme.merged" (list $.Values.defaults (index $.Values $service)) | fromJson -}}
{{- include "trireme.checkDrain" (dict "name" $service "seconds" $values.shutdown.drainSeconds "least" $least) -}}
{{- end -}}
{{- range $pool := include "trireme.pools" . | fromJsonArray -}}
{{- $values := include "trireme.poolValues" (dict "root" $ "pool" $pool) | fromJson -}}
{{- include "trireme.checkDrain" (dict "name" (printf "inference.pools.%s" $pool) "seconds" $values.shutdown.drainSeconds "least" $least) -}}
{{- end -}}
{{- end -}}

{{- define "trireme.checkDrain" -}}
{{- if lt (int64 .seconds) (int64 .least) -}}
{{- fail (printf "\n%s: shutdown.drainSeconds is %d and would cut off the longest requests; it must be at least %d (gateway.requestTimeoutSeconds + %s)." .name (int64 .seconds) .least (include "trireme.announceSeconds" .)) -}}
{{- end -}}
{{- end -}}
