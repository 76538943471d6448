package main

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The proxies in front of servers: who gets to them, how a CancelRequest finds its session, and who says
// that it is enough.

// exposed: nobody outside the cluster gets to a port that speaks plaintext, and of those who get to one
// with TLS the address is kept.
func (r *report) exposed(object object, service *service, server map[string]any) {
	if service.spec.Type != corev1.ServiceTypeLoadBalancer && service.spec.Type != corev1.ServiceTypeNodePort {
		return
	}
	if mode, _, _ := unstructured.NestedString(server, "tls", "mode"); mode == "" {
		r.wrong(object, "%s shows plaintext to the world", service)
	}
	if service.spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		r.wrong(object, "%s does not keep the client's address", service)
	}
}

// cancels: of several proxies one knows the session of a CancelRequest, which is a connection of its own.
// Clients come to the same one again, by the Service or, in the mesh, by a DestinationRule.
func (r *report) cancels(object object) {
	fields := append(slices.Clone(wasmAt[object.GetKind()]), "pluginConfig", "cancel_cluster")
	if _, follows, _ := unstructured.NestedString(object.Object, fields...); !follows {
		return
	}
	for _, pods := range r.attachedTo(object) {
		for _, service := range r.services {
			if service.namespace != pods.namespace || !service.selector.AsSelector().Matches(pods.labels) {
				continue
			}
			if service.spec.SessionAffinity != corev1.ServiceAffinityClientIP {
				r.wrong(object, "%s sends a CancelRequest to any proxy", service)
			}
			if !r.bySource(service) {
				r.wrong(object, "in the mesh %s sends a CancelRequest to any proxy", service)
			}
		}
	}
}

func (r *report) bySource(service *service) bool {
	return slices.ContainsFunc(r.objects, func(rule object) bool {
		path := []string{"spec", "trafficPolicy", "loadBalancer", "consistentHash", "useSourceIp"}
		sticks, _, _ := unstructured.NestedBool(rule.Object, path...)
		host, _, _ := unstructured.NestedString(rule.Object, "spec", "host")
		return rule.GetKind() == "DestinationRule" && sticks &&
			strings.HasPrefix(host, service.name+"."+service.namespace+".")
	})
}

// bounded: where a policy stands on the way out, Envoy's bound for the servers holds for all that passes.
// It closes without a word, so that the policy's own for everybody comes before it, and says 53300.
func (r *report) bounded(object object) {
	fields := append(slices.Clone(wasmAt[object.GetKind()]), "pluginConfig", "limits")
	limits := nestedMaps(object.Object, fields...)
	out := func(match map[string]any) bool { return strings.HasPrefix(fmt.Sprint(match["mode"]), "CLIENT") }
	if len(limits) == 0 || !slices.ContainsFunc(nestedMaps(object.Object, "spec", "match"), out) {
		return
	}
	everybody := int64(0)
	for _, limit := range limits {
		if connections, bounds := limit["max_connections"].(int64); bounds && limit["key"] == nil {
			everybody = connections
		}
	}
	for _, rule := range r.objects {
		path := []string{"spec", "trafficPolicy", "connectionPool", "tcp", "maxConnections"}
		bound, bounds, _ := unstructured.NestedInt64(rule.Object, path...)
		if rule.GetKind() == "DestinationRule" && bounds && (everybody == 0 || everybody >= bound) {
			r.wrong(object, "%s/%s closes without a word at %d", rule.GetNamespace(), rule.GetName(), bound)
		}
	}
}

// shared: PostgreSQL's parallel queries meet in /dev/shm, of which a container is given 64 MiB.
func (r *report) shared(pods *pods, container corev1.Container) {
	if !strings.HasPrefix(container.Image, "postgres:") || len(container.Ports) == 0 {
		return
	}
	memory := func(volume corev1.Volume) bool {
		return volume.EmptyDir != nil && volume.EmptyDir.Medium == corev1.StorageMediumMemory &&
			slices.ContainsFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool {
				return mount.Name == volume.Name && mount.MountPath == "/dev/shm"
			})
	}
	if !slices.ContainsFunc(pods.spec.Volumes, memory) {
		r.wrong(pods, "%s shares 64 MiB of memory", container.Name)
	}
}
