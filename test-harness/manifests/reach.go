package main

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// end is one end of a connection, as NetworkPolicies see it.
type end struct {
	namespace string
	// Of the namespace, and of the pod.
	spaces, labels labels.Set
	ports          map[string]int32
	outside        bool
}

// reach says of each flow, FROM>TO:PORT, whether the NetworkPolicies of PATH let it pass. An end is the
// name of a workload; `ns/NAME`, any pod of a namespace that is not in PATH; `client`, a pod of a
// namespace with the label of clients; or `internet`.
func reach(arguments []string) error {
	world, err := newWorld(arguments[:1])
	if err != nil {
		return err
	}
	for _, flow := range arguments[1:] {
		ends, port, found := strings.Cut(flow, ":")
		from, to, two := strings.Cut(ends, ">")
		number, err := strconv.ParseInt(port, 10, 32)
		if !found || !two || err != nil {
			return fmt.Errorf("%s: no FROM>TO:PORT", flow)
		}
		source, err := world.end(from)
		if err != nil {
			return err
		}
		target, err := world.end(to)
		if err != nil {
			return err
		}
		verdict := "no"
		if world.passes(source, target, int32(number)) {
			verdict = "yes"
		}
		fmt.Println(verdict, flow)
	}
	return nil
}

func (w *world) end(name string) (end, error) {
	if name == "internet" {
		return end{outside: true}, nil
	}
	if name == "client" {
		labels := labels.Set{"kubernetes.io/metadata.name": "shop", "postgres-client": "true"}
		return end{namespace: "shop", spaces: labels}, nil
	}
	if namespace, found := strings.CutPrefix(name, "ns/"); found {
		return end{namespace: namespace, spaces: labels.Set{"kubernetes.io/metadata.name": namespace}}, nil
	}
	pods, err := w.named(name)
	if err != nil {
		return end{}, err
	}
	spaces := labels.Merge(labels.Set{"kubernetes.io/metadata.name": pods.namespace}, w.namespaces[pods.namespace])
	return end{pods.namespace, spaces, pods.labels, pods.ports, false}, nil
}

// passes: a pod that no policy selects is open; one that some select takes what any of them allows.
func (w *world) passes(from, to end, port int32) bool {
	return w.allowed(networkingv1.PolicyTypeEgress, from, to, to, port) &&
		w.allowed(networkingv1.PolicyTypeIngress, to, from, to, port)
}

func (w *world) allowed(direction networkingv1.PolicyType, own, peer, target end, port int32) bool {
	isolated := false
	for _, policy := range w.policies {
		if own.outside || policy.Namespace != own.namespace || !applies(policy, direction) ||
			!matches(&policy.Spec.PodSelector, own.labels) {
			continue
		}
		isolated = true
		for _, rule := range rules(policy, direction) {
			if onPort(rule.ports, target, port) && fromPeer(rule.peers, policy.Namespace, peer) {
				return true
			}
		}
	}
	return !isolated
}

func applies(policy networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	for _, kind := range policy.Spec.PolicyTypes {
		if kind == direction {
			return true
		}
	}
	return false
}

type rule struct {
	ports []networkingv1.NetworkPolicyPort
	peers []networkingv1.NetworkPolicyPeer
}

func rules(policy networkingv1.NetworkPolicy, direction networkingv1.PolicyType) []rule {
	var found []rule
	if direction == networkingv1.PolicyTypeIngress {
		for _, ingress := range policy.Spec.Ingress {
			found = append(found, rule{ingress.Ports, ingress.From})
		}
		return found
	}
	for _, egress := range policy.Spec.Egress {
		found = append(found, rule{egress.Ports, egress.To})
	}
	return found
}

func onPort(ports []networkingv1.NetworkPolicyPort, target end, number int32) bool {
	for _, port := range ports {
		if port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP || port.Port == nil {
			continue
		}
		wanted := port.Port.IntVal
		if port.Port.Type == intstr.String {
			wanted = target.ports[port.Port.StrVal]
		}
		if wanted == number {
			return true
		}
	}
	return len(ports) == 0
}

func fromPeer(peers []networkingv1.NetworkPolicyPeer, namespace string, other end) bool {
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if other.outside && strings.HasSuffix(peer.IPBlock.CIDR, "/0") {
				return true
			}
			continue
		}
		near := namespace == other.namespace
		if peer.NamespaceSelector != nil {
			near = matches(peer.NamespaceSelector, other.spaces)
		}
		if !other.outside && near && (peer.PodSelector == nil || matches(peer.PodSelector, other.labels)) {
			return true
		}
	}
	return len(peers) == 0
}

func matches(selector *metav1.LabelSelector, set labels.Set) bool {
	made, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && made.Matches(set)
}

// fromCilium reads the part of a CiliumNetworkPolicy that we use, as the NetworkPolicy that says the same.
func fromCilium(object object) networkingv1.NetworkPolicy {
	const space = "k8s:io.kubernetes.pod.namespace"
	policy := networkingv1.NetworkPolicy{}
	policy.Namespace, policy.Name = object.GetNamespace(), object.GetName()
	policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	policy.Spec.PodSelector.MatchLabels = labelsAt(object, "spec", "endpointSelector", "matchLabels")
	for _, ingress := range nestedMaps(object.Object, "spec", "ingress") {
		made := networkingv1.NetworkPolicyIngressRule{}
		for _, endpoint := range nestedMaps(ingress, "fromEndpoints") {
			wanted, _, _ := unstructured.NestedStringMap(endpoint, "matchLabels")
			peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: wanted}}
			if namespace, elsewhere := wanted[space]; elsewhere {
				delete(wanted, space)
				name := map[string]string{"kubernetes.io/metadata.name": namespace}
				peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: name}
			}
			made.From = append(made.From, peer)
		}
		for _, to := range nestedMaps(ingress, "toPorts") {
			for _, port := range nestedMaps(to, "ports") {
				number := intstr.Parse(fmt.Sprint(port["port"]))
				made.Ports = append(made.Ports, networkingv1.NetworkPolicyPort{Port: &number})
			}
		}
		policy.Spec.Ingress = append(policy.Spec.Ingress, made)
	}
	return policy
}

// nestedMaps are the maps of a list.
func nestedMaps(object map[string]any, fields ...string) []map[string]any {
	list, _, _ := unstructured.NestedSlice(object, fields...)
	var found []map[string]any
	for _, item := range list {
		if item, is := item.(map[string]any); is {
			found = append(found, item)
		}
	}
	return found
}
