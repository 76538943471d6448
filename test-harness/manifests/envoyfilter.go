package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/labels"
)

// proxy is the one that EnvoyFilters are applied to.
type proxy struct {
	// "sidecar", "gateway" or "waypoint".
	kind      string
	labels    labels.Set
	bootstrap *bootstrapv3.Bootstrap
}

// apply does with the EnvoyFilters of a path what Istio does with them for a proxy of this kind and
// with these labels: the patches, decoded into Envoy's own types, merged into or added to a bootstrap
// of the shape that Istio generates (pilot/pkg/networking/core/envoyfilter). Only the operations that
// we ship are known; any other is an error, as is a patch that applies nowhere.
func apply(arguments []string) error {
	set, err := labels.ConvertSelectorToLabelsMap(arguments[1])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(arguments[3])
	if err != nil {
		return err
	}
	proxy := &proxy{arguments[0], set, &bootstrapv3.Bootstrap{}}
	if err := protojson.Unmarshal(text, proxy.bootstrap); err != nil {
		return err
	}
	var failed error
	err = eachObject(arguments[2:3], func(object object) {
		if failed != nil || object.GetKind() != "EnvoyFilter" {
			return
		}
		failed = proxy.applyFilter(object)
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	patched, err := protojson.Marshal(proxy.bootstrap)
	if err == nil {
		_, err = os.Stdout.Write(patched)
	}
	return err
}

func (p *proxy) applyFilter(object object) error {
	text, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return err
	}
	filter := &networking.EnvoyFilter{}
	if err := protojson.Unmarshal(text, filter); err != nil {
		return fmt.Errorf("%s: %w", object, err)
	}
	if !p.selectedBy(filter) {
		return nil
	}
	for index, patch := range filter.ConfigPatches {
		if err := p.applyPatch(patch); err != nil {
			return fmt.Errorf("%s: configPatches[%d]: %w", object, index, err)
		}
	}
	return nil
}

// selectedBy: a waypoint reads no workloadSelector, a proxy that no Gateway of the Gateway API stands
// for no targetRefs (pilot/pkg/model/policyattachment.go).
func (p *proxy) selectedBy(filter *networking.EnvoyFilter) bool {
	gateway := p.labels["gateway.networking.k8s.io/gateway-name"]
	for _, target := range filter.TargetRefs {
		if gateway != "" && target.Kind == "Gateway" && target.Name == gateway {
			return true
		}
	}
	if len(filter.TargetRefs) > 0 || p.kind == "waypoint" {
		return false
	}
	return labels.SelectorFromSet(filter.GetWorkloadSelector().GetLabels()).Matches(p.labels)
}

// contexts are those that this kind of proxy has.
func (p *proxy) contexts() []networking.EnvoyFilter_PatchContext {
	switch p.kind {
	case "gateway":
		return []networking.EnvoyFilter_PatchContext{networking.EnvoyFilter_GATEWAY}
	case "waypoint":
		return []networking.EnvoyFilter_PatchContext{networking.EnvoyFilter_SIDECAR_INBOUND}
	default:
		return []networking.EnvoyFilter_PatchContext{
			networking.EnvoyFilter_SIDECAR_OUTBOUND, networking.EnvoyFilter_SIDECAR_INBOUND,
		}
	}
}

// in is the context that a listener or cluster belongs to, by its name.
func (p *proxy) in(name string) networking.EnvoyFilter_PatchContext {
	contexts := p.contexts()
	if name == virtualInbound || strings.HasPrefix(name, "inbound|") {
		return contexts[len(contexts)-1]
	}
	return contexts[0]
}

func matchesContext(match *networking.EnvoyFilter_EnvoyConfigObjectMatch, context networking.EnvoyFilter_PatchContext) bool {
	return match.GetContext() == networking.EnvoyFilter_ANY || match.GetContext() == context
}

// virtualInbound is the listener that takes all that comes to a sidecar.
const virtualInbound = "virtualInbound"

func (p *proxy) applyPatch(patch *networking.EnvoyFilter_EnvoyConfigObjectPatch) error {
	text, err := protojson.Marshal(patch.Patch.Value)
	if err != nil {
		return err
	}
	type step struct {
		to        networking.EnvoyFilter_ApplyTo
		operation networking.EnvoyFilter_Patch_Operation
	}
	steps := map[step]func([]byte, *networking.EnvoyFilter_EnvoyConfigObjectMatch) (int, error){
		{networking.EnvoyFilter_BOOTSTRAP, networking.EnvoyFilter_Patch_MERGE}:      p.mergeBootstrap,
		{networking.EnvoyFilter_CLUSTER, networking.EnvoyFilter_Patch_ADD}:          p.addCluster,
		{networking.EnvoyFilter_CLUSTER, networking.EnvoyFilter_Patch_MERGE}:        p.mergeClusters,
		{networking.EnvoyFilter_FILTER_CHAIN, networking.EnvoyFilter_Patch_MERGE}:   p.mergeChains,
		{networking.EnvoyFilter_NETWORK_FILTER, networking.EnvoyFilter_Patch_MERGE}: p.mergeFilters,
	}
	run, known := steps[step{patch.ApplyTo, patch.Patch.Operation}]
	if !known {
		return fmt.Errorf("%v %v is not known here", patch.ApplyTo, patch.Patch.Operation)
	}
	applied, err := run(text, patch.Match)
	if err == nil && applied == 0 {
		err = fmt.Errorf("applies nowhere in a %s", p.kind)
	}
	return err
}

func (p *proxy) mergeBootstrap(text []byte, _ *networking.EnvoyFilter_EnvoyConfigObjectMatch) (int, error) {
	patch := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return 0, err
	}
	proto.Merge(p.bootstrap, patch)
	return 1, nil
}

// addCluster: without a context only the outbound side and gateways get it (InsertedClusters).
func (p *proxy) addCluster(text []byte, match *networking.EnvoyFilter_EnvoyConfigObjectMatch) (int, error) {
	patch := &clusterv3.Cluster{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return 0, err
	}
	added := 0
	for _, context := range p.contexts() {
		inbound := context == networking.EnvoyFilter_SIDECAR_INBOUND
		if match.GetContext() == networking.EnvoyFilter_ANY && inbound || !matchesContext(match, context) {
			continue
		}
		p.bootstrap.StaticResources.Clusters = append(p.bootstrap.StaticResources.Clusters, patch)
		added++
	}
	return added, nil
}

// mergeClusters merges into the clusters that are matched by Istio's names, "outbound|PORT|SUBSET|SERVICE".
func (p *proxy) mergeClusters(text []byte, match *networking.EnvoyFilter_EnvoyConfigObjectMatch) (int, error) {
	wanted := match.GetCluster()
	applied := 0
	for _, cluster := range p.bootstrap.StaticResources.Clusters {
		parts := strings.Split(cluster.Name, "|")
		if len(parts) != 4 || !matchesContext(match, p.in(cluster.Name)) ||
			wanted.GetService() != "" && wanted.GetService() != parts[3] ||
			wanted.GetSubset() != "" && wanted.GetSubset() != parts[2] ||
			wanted.GetPortNumber() != 0 && fmt.Sprint(wanted.GetPortNumber()) != parts[1] {
			continue
		}
		patch := &clusterv3.Cluster{}
		if err := protojson.Unmarshal(text, patch); err != nil {
			return applied, err
		}
		merged, err := mergeSocket(cluster.TransportSocket, patch.TransportSocket)
		if err != nil {
			return applied, err
		}
		// A patch with a transport socket changes nothing else.
		if !merged {
			proto.Merge(cluster, patch)
		}
		applied++
	}
	return applied, nil
}

// mergeSocket merges a transport socket of the same name into the one that is there.
func mergeSocket(into, from *corev3.TransportSocket) (bool, error) {
	if from == nil || into.GetName() != from.Name {
		return false, nil
	}
	merged, err := mergeAny(into.GetTypedConfig(), from.GetTypedConfig())
	if err != nil {
		return false, err
	}
	into.GetTypedConfig().Value = merged.Value
	return true, nil
}

// eachChain visits the filter chains that a patch is for. In virtualInbound the port is the chain's.
func (p *proxy) eachChain(match *networking.EnvoyFilter_EnvoyConfigObjectMatch, visit func(*listenerv3.FilterChain) error) error {
	port := match.GetListener().GetPortNumber()
	for _, listener := range p.bootstrap.StaticResources.Listeners {
		if !matchesContext(match, p.in(listener.Name)) {
			continue
		}
		for _, chain := range listener.FilterChains {
			here := listener.Address.GetSocketAddress().GetPortValue()
			if listener.Name == virtualInbound {
				here = chain.GetFilterChainMatch().GetDestinationPort().GetValue()
			}
			if port != 0 && here != port {
				continue
			}
			if err := visit(chain); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *proxy) mergeChains(text []byte, match *networking.EnvoyFilter_EnvoyConfigObjectMatch) (int, error) {
	applied := 0
	err := p.eachChain(match, func(chain *listenerv3.FilterChain) error {
		patch := &listenerv3.FilterChain{}
		if err := protojson.Unmarshal(text, patch); err != nil {
			return err
		}
		merged, err := mergeSocket(chain.TransportSocket, patch.TransportSocket)
		if err == nil && !merged {
			proto.Merge(chain, patch)
		}
		applied++
		return err
	})
	return applied, err
}

func (p *proxy) mergeFilters(text []byte, match *networking.EnvoyFilter_EnvoyConfigObjectMatch) (int, error) {
	patch := &listenerv3.Filter{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return 0, err
	}
	wanted := match.GetListener().GetFilterChain().GetFilter().GetName()
	applied := 0
	err := p.eachChain(match, func(chain *listenerv3.FilterChain) error {
		for _, filter := range chain.Filters {
			if filter.Name != wanted {
				continue
			}
			merged, err := mergeAny(filter.GetTypedConfig(), patch.GetTypedConfig())
			if err != nil {
				return err
			}
			filter.GetTypedConfig().Value = merged.Value
			applied++
		}
		return nil
	})
	return applied, err
}

func mergeAny(into, from *anypb.Any) (*anypb.Any, error) {
	target, err := into.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	patch, err := from.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	if into.TypeUrl != from.TypeUrl {
		return nil, fmt.Errorf("%s is not %s", from.TypeUrl, into.TypeUrl)
	}
	proto.Merge(target, patch)
	return anypb.New(target)
}
