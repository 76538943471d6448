package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// wiring says where the parts that were built together do not meet: selectors that select nothing, ports
// and names that are not there. A Secret or ConfigMap that is named and not made is `yours`.
func wiring(paths []string) error {
	world, err := newWorld(paths)
	if err != nil {
		return err
	}
	report := &report{world: world, yours: map[string]bool{}}
	for _, service := range world.services {
		report.service(service)
	}
	for _, pods := range world.pods {
		report.pods(pods)
	}
	for _, policy := range world.policies {
		report.policy(policy)
	}
	for _, object := range world.objects {
		if check, known := checks[object.GetKind()]; known {
			check(report, object)
		}
		report.inNamespace(object)
	}
	report.exports()
	for _, name := range slices.Sorted(maps.Keys(report.yours)) {
		fmt.Println("yours", name)
	}
	for _, fault := range report.faults {
		fmt.Println("wrong", fault)
	}
	if len(report.faults) > 0 {
		return fmt.Errorf("%d faults", len(report.faults))
	}
	return nil
}

type report struct {
	*world
	faults []string
	yours  map[string]bool
}

var checks = map[string]func(*report, object){
	"StatefulSet":         (*report).statefulSet,
	"ServiceMonitor":      (*report).serviceMonitor,
	"PodMonitor":          (*report).podMonitor,
	"PrometheusRule":      (*report).released,
	"WasmPlugin":          (*report).plugin,
	"TrafficExtension":    (*report).plugin,
	"EnvoyFilter":         (*report).attached,
	"AuthorizationPolicy": (*report).authorization,
	"PeerAuthentication":  (*report).attached,
	"DestinationRule":     (*report).destinationRule,
	"VirtualService":      (*report).virtualService,
	"Gateway":             (*report).gateway,
	"CiliumEnvoyConfig":   (*report).ciliumServices,
	"Server":              (*report).linkerdServer,
	"ServiceDefaults":     (*report).consulService,
	"ServiceIntentions":   (*report).consulService,
}

func (r *report) wrong(at any, format string, arguments ...any) {
	r.faults = append(r.faults, fmt.Sprintf("%v: %s", at, fmt.Sprintf(format, arguments...)))
}

// service: what it selects is there, and listens where the Service sends to.
func (r *report) service(service *service) {
	if len(service.selector) == 0 {
		return
	}
	selected := r.selected(service.namespace, service.selector.AsSelector())
	if len(selected) == 0 {
		r.wrong("Service "+service.String(), "selects no pod")
	}
	for _, pods := range selected {
		for _, port := range service.ports {
			if !listens(pods, port) {
				r.wrong("Service "+service.String(), "%s has no port %v", pods, port.TargetPort.String())
			}
		}
	}
}

func listens(pods *pods, port corev1.ServicePort) bool {
	if port.TargetPort.Type == intstr.String {
		_, there := pods.ports[port.TargetPort.StrVal]
		return there
	}
	if port.TargetPort.IntVal == 0 {
		return pods.hasPort(port.Port)
	}
	return pods.hasPort(port.TargetPort.IntVal)
}

func (r *report) statefulSet(object object) {
	name, _, _ := unstructured.NestedString(object.Object, "spec", "serviceName")
	found := r.serviceAt(name + "." + object.GetNamespace())
	if found == nil || !found.headless {
		r.wrong(object, "serviceName %s is no headless Service", name)
	}
}

// pods: volumes, what fills them, secrets in the environment, and the account are there.
func (r *report) pods(pods *pods) {
	r.injected(pods)
	if pods.spec == nil {
		return
	}
	here := func(name string) place { return place{pods.namespace, name} }
	if account := pods.spec.ServiceAccountName; account != "" && !r.accounts[here(account)] {
		r.wrong(pods, "no ServiceAccount %s", account)
	}
	for _, secret := range pods.spec.ImagePullSecrets {
		r.needs("Secret", here(secret.Name))
	}
	volumes := map[string]bool{}
	for _, claim := range pods.claims {
		volumes[claim] = true
	}
	for _, volume := range pods.spec.Volumes {
		volumes[volume.Name] = true
		if volume.ConfigMap != nil {
			r.needs("ConfigMap", here(volume.ConfigMap.Name))
		}
		if volume.Secret != nil {
			r.needs("Secret", here(volume.Secret.SecretName))
		}
	}
	used := map[string]bool{}
	for _, container := range containers(pods.spec) {
		for _, mount := range container.VolumeMounts {
			used[mount.Name] = true
			if !volumes[mount.Name] {
				r.wrong(pods, "no volume %s", mount.Name)
			}
		}
		r.shared(pods, container)
		for _, variable := range container.Env {
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
				r.needs("Secret", here(from.SecretKeyRef.Name))
			}
		}
	}
	for volume := range volumes {
		if !used[volume] {
			r.wrong(pods, "nothing mounts the volume %s", volume)
		}
	}
}

// injected: what annotations have Istio mount into its proxy.
func (r *report) injected(pods *pods) {
	text := pods.annotations["sidecar.istio.io/userVolume"]
	if text == "" {
		return
	}
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	if err := json.Unmarshal([]byte(text), &volumes); err != nil {
		r.wrong(pods, "userVolume: %v", err)
	}
	text = pods.annotations["sidecar.istio.io/userVolumeMount"]
	if err := json.Unmarshal([]byte(text), &mounts); err != nil {
		r.wrong(pods, "userVolumeMount: %v", err)
	}
	for _, volume := range volumes {
		if volume.ConfigMap != nil {
			r.needs("ConfigMap", place{pods.namespace, volume.ConfigMap.Name})
		}
		named := func(mount corev1.VolumeMount) bool { return mount.Name == volume.Name }
		if !slices.ContainsFunc(mounts, named) {
			r.wrong(pods, "nothing mounts the volume %s", volume.Name)
		}
	}
}

// inNamespace: where an object goes to is there, or yours: deleting what was applied must not delete it.
func (r *report) inNamespace(object object) {
	if object.GetKind() == "Namespace" || object.GetNamespace() == "" {
		return
	}
	if _, made := r.namespaces[object.GetNamespace()]; !made {
		r.yours["Namespace "+object.GetNamespace()] = true
	}
}

func (r *report) needs(kind string, what place) {
	made := r.configMaps[what]
	if kind == "Secret" {
		made = r.secrets[what]
	}
	if !made {
		r.yours[kind+" "+what.String()] = true
	}
}

// policy: what it selects is there, the ports that it names, and the pods that it lets in.
func (r *report) policy(policy networkingv1.NetworkPolicy) {
	name := "NetworkPolicy " + policy.Namespace + "/" + policy.Name
	selected := r.chosen(policy.Namespace, &policy.Spec.PodSelector)
	if len(selected) == 0 {
		r.wrong(name, "selects no pod")
	}
	for _, direction := range policy.Spec.PolicyTypes {
		for _, rule := range rules(policy, direction) {
			for _, peer := range rule.peers {
				if peer.PodSelector != nil && peer.NamespaceSelector == nil &&
					len(r.chosen(policy.Namespace, peer.PodSelector)) == 0 {
					r.wrong(name, "%s: there is no pod %v", direction, peer.PodSelector.MatchLabels)
				}
			}
			if direction != networkingv1.PolicyTypeIngress {
				continue
			}
			for _, port := range rule.ports {
				for _, pods := range selected {
					if !listens(pods, corev1.ServicePort{TargetPort: *port.Port}) {
						r.wrong(name, "%s has no port %v", pods, port.Port.String())
					}
				}
			}
		}
	}
}

func (r *report) chosen(namespace string, selector *metav1.LabelSelector) []*pods {
	made, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil
	}
	return r.selected(namespace, made)
}

// attachedTo are the proxies that a policy of Istio's is for, by selector, by targetRefs, or all of its
// namespace.
func (r *report) attachedTo(object object) []*pods {
	for _, field := range []string{"selector", "workloadSelector"} {
		for _, labelsField := range []string{"matchLabels", "labels"} {
			if wanted := labelsAt(object, "spec", field, labelsField); len(wanted) > 0 {
				return r.selected(object.GetNamespace(), wanted.AsSelector())
			}
		}
	}
	targets := nestedMaps(object.Object, "spec", "targetRefs")
	if len(targets) == 0 {
		return r.selected(object.GetNamespace(), labels.Everything())
	}
	var found []*pods
	for _, target := range targets {
		own := labels.Set{"gateway.networking.k8s.io/gateway-name": fmt.Sprint(target["name"])}
		found = append(found, r.selected(object.GetNamespace(), own.AsSelector())...)
	}
	return found
}

func (r *report) attached(object object) {
	if len(r.attachedTo(object)) == 0 {
		r.wrong(object, "is for no proxy")
	}
}

func (r *report) plugin(object object) {
	r.attached(object)
	r.bounded(object)
	r.cancels(object)
	for _, pods := range r.attachedTo(object) {
		if !pods.sidecar {
			r.wrong(object, "%s has no proxy of Istio's", pods)
		}
		internet, _ := r.end("internet")
		own, _ := r.end(pods.name)
		if !r.passes(own, internet, 443) {
			r.wrong(object, "no NetworkPolicy lets %s fetch it", pods)
		}
	}
	wasm, _, _ := unstructured.NestedMap(object.Object, wasmAt[object.GetKind()]...)
	if secret, found, _ := unstructured.NestedString(wasm, "imagePullSecret"); found {
		r.needs("Secret", place{object.GetNamespace(), secret})
	}
	for _, route := range nestedMaps(wasm, "pluginConfig", "routes") {
		cluster := strings.Split(fmt.Sprint(route["cluster"]), "|")
		if len(cluster) != 4 || r.serviceAt(cluster[3]) == nil {
			r.wrong(object, "no Service for the cluster %v", route["cluster"])
		}
	}
}

// exports: a proxy whose metrics filter exports has the cluster that it exports to.
func (r *report) exports() {
	adds := map[*pods]map[string]bool{}
	for _, object := range r.objects {
		if object.GetKind() != "EnvoyFilter" {
			continue
		}
		for _, patch := range nestedMaps(object.Object, "spec", "configPatches") {
			name, found, _ := unstructured.NestedString(patch, "patch", "value", "name")
			for _, pods := range r.attachedTo(object) {
				if !found || patch["applyTo"] != "CLUSTER" {
					continue
				}
				if adds[pods] == nil {
					adds[pods] = map[string]bool{}
				}
				adds[pods][name] = true
			}
		}
	}
	for _, object := range r.objects {
		wasm, known := wasmAt[object.GetKind()]
		if !known {
			continue
		}
		fields := append(slices.Clone(wasm), "pluginConfig", "export", "cluster")
		cluster, exports, _ := unstructured.NestedString(object.Object, fields...)
		for _, pods := range r.attachedTo(object) {
			if exports && !adds[pods][cluster] {
				r.wrong(object, "%s has no cluster %s", pods, cluster)
			}
			collector, _ := r.end("ns/observability")
			own, _ := r.end(pods.name)
			if exports && !r.passes(own, collector, 4318) {
				r.wrong(object, "no NetworkPolicy lets %s reach the Collector", pods)
			}
		}
	}
}

// authorization: identities of the namespace's own are accounts of it.
func (r *report) authorization(object object) {
	if object.GroupVersionKind().Group == "policy.linkerd.io" {
		return
	}
	r.attached(object)
	for _, rule := range nestedMaps(object.Object, "spec", "rules") {
		for _, from := range nestedMaps(rule, "from") {
			principals, _, _ := unstructured.NestedStringSlice(from, "source", "principals")
			for _, principal := range principals {
				parts := strings.Split(principal, "/")
				if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
					r.wrong(object, "%s is no identity", principal)
				} else if parts[2] == object.GetNamespace() && !r.accounts[place{parts[2], parts[4]}] {
					r.wrong(object, "no ServiceAccount %s", parts[4])
				}
			}
		}
	}
}

// host is a Service here, or a ServiceEntry's.
func (r *report) host(object object, host string, port any) {
	for _, entry := range r.objects {
		hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
		if entry.GetKind() == "ServiceEntry" && slices.Contains(hosts, host) {
			return
		}
	}
	service := r.serviceAt(host)
	if service == nil {
		r.wrong(object, "no Service %s", host)
		return
	}
	numbered := func(its corev1.ServicePort) bool { return port == nil || fmt.Sprint(its.Port) == fmt.Sprint(port) }
	if !slices.ContainsFunc(service.ports, numbered) {
		r.wrong(object, "%s has no port %v", host, port)
	}
}

func (r *report) has(kind, name string) bool {
	return slices.ContainsFunc(r.objects, func(other object) bool {
		return other.GetKind() == kind && other.GetName() == name
	})
}

func (r *report) destinationRule(object object) {
	host, _, _ := unstructured.NestedString(object.Object, "spec", "host")
	r.host(object, host, nil)
}

func (r *report) virtualService(object object) {
	hosts, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "hosts")
	gateways, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "gateways")
	for _, host := range hosts {
		if len(gateways) == 0 {
			r.host(object, host, nil)
		}
	}
	for _, gateway := range gateways {
		if !r.has("Gateway", gateway) {
			r.wrong(object, "no Gateway %s", gateway)
		}
	}
	for _, tcp := range nestedMaps(object.Object, "spec", "tcp") {
		for _, route := range nestedMaps(tcp, "route") {
			host, _, _ := unstructured.NestedString(route, "destination", "host")
			port, _, _ := unstructured.NestedFieldNoCopy(route, "destination", "port", "number")
			r.host(object, host, port)
		}
	}
}

// gateway: its proxies are there, a Service leads to each of its ports, and its certificates are named.
func (r *report) gateway(object object) {
	wanted := labelsAt(object, "spec", "selector")
	if len(wanted) == 0 {
		return
	}
	selected := r.selected(object.GetNamespace(), wanted.AsSelector())
	if len(selected) == 0 {
		r.wrong(object, "is for no proxy")
	}
	for _, server := range nestedMaps(object.Object, "spec", "servers") {
		port, _, _ := unstructured.NestedInt64(server, "port", "number")
		leads := func(service *service) bool {
			sends := func(its corev1.ServicePort) bool { return its.TargetPort.IntValue() == int(port) }
			return labels.Equals(service.selector, wanted) && slices.ContainsFunc(service.ports, sends)
		}
		if at := slices.IndexFunc(r.services, leads); at < 0 {
			r.wrong(object, "no Service leads to port %d", port)
		} else {
			r.exposed(object, r.services[at], server)
		}
		if secret, found, _ := unstructured.NestedString(server, "tls", "credentialName"); found {
			r.needs("Secret", place{object.GetNamespace(), secret})
		}
	}
}

func (r *report) ciliumServices(object object) {
	for _, service := range nestedMaps(object.Object, "spec", "services") {
		host := fmt.Sprintf("%v.%v", service["name"], service["namespace"])
		for _, port := range service["ports"].([]any) {
			r.host(object, host, port)
		}
	}
}

func (r *report) linkerdServer(object object) {
	port, _, _ := unstructured.NestedInt64(object.Object, "spec", "port")
	selected := r.selected(object.GetNamespace(), labelsAt(object, "spec", "podSelector", "matchLabels").AsSelector())
	if len(selected) == 0 {
		r.wrong(object, "selects no pod")
	}
	for _, pods := range selected {
		if !pods.hasPort(int32(port)) || !pods.hasPort(4143) {
			r.wrong(object, "%s has no port %d behind Linkerd", pods, port)
		}
	}
}

// consulService: the Service of that name is what its pods register as, with their account.
func (r *report) consulService(object object) {
	service := r.serviceAt(object.GetName() + "." + object.GetNamespace())
	if service == nil {
		r.wrong(object, "no Service of that name")
		return
	}
	for _, pods := range r.selected(service.namespace, service.selector.AsSelector()) {
		registered := pods.annotations["consul.hashicorp.com/kubernetes-service"]
		if registered != service.name || pods.spec.ServiceAccountName != service.name {
			r.wrong(object, "%s registers as %q, with the account %q", pods, registered, pods.spec.ServiceAccountName)
		}
	}
}
