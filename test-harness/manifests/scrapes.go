package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Prometheus is told to scrape is there, and it gets to it.

func (r *report) serviceMonitor(object object) {
	r.released(object)
	wanted := labelsAt(object, "spec", "selector", "matchLabels")
	found := 0
	for _, service := range r.services {
		if service.namespace != object.GetNamespace() || !wanted.AsSelector().Matches(service.labels) {
			continue
		}
		found++
		for _, endpoint := range nestedMaps(object.Object, "spec", "endpoints") {
			named := func(port corev1.ServicePort) bool { return port.Name == endpoint["port"] }
			if !slices.ContainsFunc(service.ports, named) {
				r.wrong(object, "%s has no port %v", service, endpoint["port"])
			}
		}
		for _, pods := range r.selected(service.namespace, service.selector.AsSelector()) {
			r.scraped(object, pods, pods.ports[service.ports[0].TargetPort.String()])
		}
	}
	if found == 0 {
		r.wrong(object, "selects no Service")
	}
}

func (r *report) podMonitor(object object) {
	r.released(object)
	selected := r.selected(object.GetNamespace(), labelsAt(object, "spec", "selector", "matchLabels").AsSelector())
	if len(selected) == 0 {
		r.wrong(object, "selects no pod")
	}
	for _, pods := range selected {
		for _, endpoint := range nestedMaps(object.Object, "spec", "podMetricsEndpoints") {
			named, _ := endpoint["port"].(string)
			number, _ := endpoint["portNumber"].(int64)
			port := cmp.Or(pods.ports[named], int32(number))
			if !pods.hasPort(port) || number == agent {
				r.wrong(object, "%s declares no port %s", pods, cmp.Or(named, fmt.Sprint(number)))
			}
			r.scraped(object, pods, cmp.Or(led(endpoint), port))
		}
	}
}

// agent is the port of the agent in a proxy's container of Istio's, which declares the proxy's alone.
const agent = 15020

// led is the port that an endpoint's relabelings put in place of the one that it has found: Prometheus finds
// only those that a container declares.
func led(endpoint map[string]any) int32 {
	for _, relabeling := range nestedMaps(endpoint, "relabelings") {
		replacement, _ := relabeling["replacement"].(string)
		_, port, _ := strings.Cut(replacement, "$1:")
		if number, err := strconv.ParseInt(port, 10, 32); err == nil && relabeling["targetLabel"] == "__address__" {
			return int32(number)
		}
	}
	return 0
}

// scraped: Prometheus gets to the port, and a mesh whose mutual TLS is strict lets it in.
func (r *report) scraped(object object, pods *pods, port int32) {
	prometheus, _ := r.end("ns/monitoring")
	target, _ := r.end(pods.name)
	if !r.passes(prometheus, target, port) {
		r.wrong(object, "no NetworkPolicy lets Prometheus reach %s:%d", pods, port)
	}
	if !r.takesPlaintext(pods, port) {
		r.wrong(object, "where the mesh is strict, %s refuses Prometheus at %d", pods, port)
	}
}

// released: kube-prometheus-stack's Prometheus looks for the name of its release.
func (r *report) released(object object) {
	if object.GetLabels()["release"] == "" {
		r.wrong(object, "no label `release`")
	}
}

// takesPlaintext: no proxy of Istio's stands before the port, or one that is told not to mind it.
func (r *report) takesPlaintext(pods *pods, port int32) bool {
	number := fmt.Sprint(port)
	// A proxy's own ports, which it does not stand before.
	own := []string{"15020", "15021", "15090"}
	excluded := strings.Split(pods.annotations["traffic.sidecar.istio.io/excludeInboundPorts"], ",")
	if !pods.ambient && (!pods.sidecar || slices.Contains(append(own, excluded...), number)) {
		return true
	}
	return slices.ContainsFunc(r.objects, func(other object) bool {
		if other.GetKind() != "PeerAuthentication" || !slices.Contains(r.attachedTo(other), pods) {
			return false
		}
		mode, _, _ := unstructured.NestedString(other.Object, "spec", "portLevelMtls", number, "mode")
		return mode == "PERMISSIVE" || mode == "DISABLE"
	})
}
