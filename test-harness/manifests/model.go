package main

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/scheme"
)

// place is where an object lives.
type place struct{ namespace, name string }

func (p place) String() string { return p.namespace + "/" + p.name }

// pods are what a workload makes, as its template says or as the one who makes it is known to.
type pods struct {
	place
	labels      labels.Set
	annotations map[string]string
	// spec is nil where somebody else writes it.
	spec   *corev1.PodSpec
	claims []string
	ports  map[string]int32
	// sidecar: an Istio proxy that takes plugins stands in these pods.
	sidecar bool
	// ambient: what comes to these pods and leaves them passes ztunnel.
	ambient bool
}

func (p *pods) hasPort(number int32) bool {
	for _, port := range p.ports {
		if port == number {
			return true
		}
	}
	return false
}

// service is a Service, or what an operator makes of its own.
type service struct {
	place
	selector labels.Set
	headless bool
	ports    []corev1.ServicePort
	labels   labels.Set
	// spec is nil where an operator makes it.
	spec *corev1.ServiceSpec
}

// world is all that was built together, and what operators and meshes are known to add to it.
type world struct {
	objects    []object
	namespaces map[string]labels.Set
	pods       []*pods
	services   []*service
	accounts   map[place]bool
	configMaps map[place]bool
	secrets    map[place]bool
	policies   []networkingv1.NetworkPolicy
}

func newWorld(paths []string) (*world, error) {
	made := &world{
		namespaces: map[string]labels.Set{},
		accounts:   map[place]bool{},
		configMaps: map[place]bool{},
		secrets:    map[place]bool{},
	}
	var failed error
	err := eachObject(paths, func(object object) {
		if failed == nil {
			made.objects = append(made.objects, object)
			failed = made.add(object)
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	for _, pods := range made.pods {
		made.inject(pods)
	}
	return made, nil
}

func at(object object) place { return place{object.GetNamespace(), object.GetName()} }

func (w *world) add(object object) error {
	switch object.GetKind() {
	case "Cluster":
		w.addCloudNativePG(object)
	case "PostgresCluster":
		w.addCrunchy(object)
	case "Gateway":
		w.addWaypoint(object)
	case "CiliumNetworkPolicy":
		w.policies = append(w.policies, fromCilium(object))
	}
	text, err := json.Marshal(object.Object)
	if err != nil {
		return err
	}
	decoded, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		// No kind of Kubernetes' own: `check` judges those.
		return nil
	}
	switch typed := decoded.(type) {
	case *corev1.Namespace:
		all := labels.Set{"kubernetes.io/metadata.name": typed.Name}
		w.namespaces[typed.Name] = labels.Merge(all, typed.Labels)
	case *corev1.ServiceAccount:
		w.accounts[at(object)] = true
	case *corev1.Secret:
		w.secrets[at(object)] = true
	case *corev1.ConfigMap:
		w.configMaps[at(object)] = true
	case *corev1.Service:
		w.services = append(w.services, &service{
			at(object), typed.Spec.Selector, typed.Spec.ClusterIP == corev1.ClusterIPNone,
			typed.Spec.Ports, typed.Labels, &typed.Spec,
		})
	case *networkingv1.NetworkPolicy:
		w.policies = append(w.policies, *typed)
	case *appsv1.Deployment:
		w.addTemplate(object, typed.Spec.Template, nil)
	case *appsv1.DaemonSet:
		w.addTemplate(object, typed.Spec.Template, nil)
	case *appsv1.StatefulSet:
		var claims []string
		for _, claim := range typed.Spec.VolumeClaimTemplates {
			claims = append(claims, claim.Name)
		}
		w.addTemplate(object, typed.Spec.Template, claims)
	}
	return nil
}

func (w *world) addTemplate(object object, template corev1.PodTemplateSpec, claims []string) {
	ports := map[string]int32{}
	for _, container := range containers(&template.Spec) {
		for _, port := range container.Ports {
			ports[port.Name] = port.ContainerPort
		}
	}
	w.pods = append(w.pods, &pods{
		place: at(object), labels: template.Labels, annotations: template.Annotations,
		spec: &template.Spec, claims: claims, ports: ports,
	})
}

func containers(spec *corev1.PodSpec) []corev1.Container {
	return append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...)
}

func labelsAt(object object, fields ...string) labels.Set {
	found, _, _ := unstructured.NestedStringMap(object.Object, fields...)
	return found
}

// addCloudNativePG adds the instances and Services of a Cluster, and the account that has its name
// (CloudNativePG's documentation: "Labels and annotations", "Service management").
func (w *world) addCloudNativePG(object object) {
	own := labels.Set{"cnpg.io/cluster": object.GetName(), "cnpg.io/podRole": "instance"}
	one := labels.Set{"cnpg.io/instanceName": object.GetName() + "-1", "role": "primary"}
	w.pods = append(w.pods, &pods{
		place:       at(object),
		labels:      labels.Merge(labelsAt(object, "spec", "inheritedMetadata", "labels"), labels.Merge(own, one)),
		annotations: labelsAt(object, "spec", "inheritedMetadata", "annotations"),
		ports:       map[string]int32{"postgresql": 5432, "metrics": 9187, "status": 8000},
	})
	w.accounts[at(object)] = true
	w.addServices(object, own, "postgres", "-rw", "-ro", "-r")
}

// addCrunchy adds the instances and Services of a PostgresCluster, and its instances' account.
func (w *world) addCrunchy(object object) {
	const prefix = "postgres-operator.crunchydata.com/"
	own := labels.Set{prefix + "cluster": object.GetName(), prefix + "data": "postgres"}
	one := labels.Set{prefix + "instance": object.GetName() + "-instance1-abcd"}
	ports := map[string]int32{"postgres": 5432, "patroni": 8008}
	_, monitored, _ := unstructured.NestedMap(object.Object, "spec", "monitoring", "pgmonitor", "exporter")
	if monitored {
		own[prefix+"crunchy-postgres-exporter"] = "true"
		ports["exporter"] = 9187
	}
	w.pods = append(w.pods, &pods{
		place:       at(object),
		labels:      labels.Merge(labelsAt(object, "spec", "metadata", "labels"), labels.Merge(own, one)),
		annotations: labelsAt(object, "spec", "metadata", "annotations"),
		ports:       ports,
	})
	w.accounts[place{object.GetNamespace(), object.GetName() + "-instance"}] = true
	w.addServices(object, own, "postgres", "-ha", "-primary", "-replicas")
}

func (w *world) addServices(object object, selector labels.Set, port string, suffixes ...string) {
	for _, suffix := range suffixes {
		w.services = append(w.services, &service{
			place:    place{object.GetNamespace(), object.GetName() + suffix},
			selector: selector,
			ports:    []corev1.ServicePort{{Name: port, Port: 5432}},
		})
	}
}

// addWaypoint adds what Istio deploys for a Gateway of its class for waypoints.
func (w *world) addWaypoint(object object) {
	class, _, _ := unstructured.NestedString(object.Object, "spec", "gatewayClassName")
	if class != "istio-waypoint" {
		return
	}
	own := labels.Set{"gateway.networking.k8s.io/gateway-name": object.GetName()}
	w.pods = append(w.pods, &pods{
		place:       at(object),
		labels:      labels.Merge(labelsAt(object, "spec", "infrastructure", "labels"), own),
		annotations: labelsAt(object, "spec", "infrastructure", "annotations"),
		ports:       map[string]int32{"http-envoy-prom": 15090, "metrics": 15020, "hbone": 15008},
		sidecar:     true,
	})
	w.accounts[at(object)] = true
}

const dataplane = "istio.io/dataplane-mode"

// inject adds the ports of the proxies that meshes put into pods.
func (w *world) inject(pods *pods) {
	namespace := w.namespaces[pods.namespace]
	wanted := pods.labels["sidecar.istio.io/inject"]
	enabled := namespace["istio-injection"] == "enabled" && wanted != "false" || wanted == "true"
	if enabled && !pods.sidecar {
		pods.sidecar = true
		pods.ports["http-envoy-prom"] = 15090
		pods.ports["istio-metrics"] = 15020
	}
	if namespace[dataplane] == "ambient" || pods.labels[dataplane] == "ambient" {
		pods.ambient = true
		pods.ports["hbone"] = 15008
	}
	if pods.annotations["linkerd.io/inject"] == "enabled" {
		pods.ports["linkerd-proxy"] = 4143
		pods.ports["linkerd-admin"] = 4191
	}
	if pods.annotations["consul.hashicorp.com/connect-inject"] == "true" {
		pods.ports["consul-inbound"] = 20000
	}
}

// named finds the pods of the workload of this name.
func (w *world) named(name string) (*pods, error) {
	for _, pods := range w.pods {
		if pods.name == name {
			return pods, nil
		}
	}
	return nil, fmt.Errorf("no pods of %s", name)
}

// selected are the pods of a namespace that a selector selects; an empty one selects all of them.
func (w *world) selected(namespace string, selector labels.Selector) []*pods {
	var found []*pods
	for _, pods := range w.pods {
		if pods.namespace == namespace && selector.Matches(pods.labels) {
			found = append(found, pods)
		}
	}
	return found
}

// serviceAt finds a Service by its name in the cluster's DNS.
func (w *world) serviceAt(host string) *service {
	parts := strings.Split(host, ".")
	for _, service := range w.services {
		if len(parts) >= 2 && service.name == parts[0] && service.namespace == parts[1] {
			return service
		}
	}
	return nil
}
