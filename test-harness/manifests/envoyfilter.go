package main

import (
	"encoding/json"
	"fmt"
	"os"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/wasm/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	mesh "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"
)

// apply does with the EnvoyFilters of a path what Istio does with them: the patches, decoded into
// Envoy's own types, merged into or added to a bootstrap of the shape that Istio generates. Only
// the operations that we ship are known; any other is an error.
func apply(arguments []string) error {
	text, err := os.ReadFile(arguments[1])
	if err != nil {
		return err
	}
	bootstrap := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, bootstrap); err != nil {
		return err
	}
	var failed error
	err = eachObject(arguments[:1], func(object object) {
		if failed != nil || object.GetKind() != "EnvoyFilter" {
			return
		}
		failed = applyFilter(object, bootstrap)
	})
	if err != nil || failed != nil {
		return fmt.Errorf("%v%v", orNothing(err), orNothing(failed))
	}
	patched, err := protojson.Marshal(bootstrap)
	if err == nil {
		_, err = os.Stdout.Write(patched)
	}
	return err
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func applyFilter(object object, bootstrap *bootstrapv3.Bootstrap) error {
	text, err := json.Marshal(object.Object["spec"])
	if err != nil {
		return err
	}
	filter := &networking.EnvoyFilter{}
	if err := protojson.Unmarshal(text, filter); err != nil {
		return fmt.Errorf("%s: %w", object, err)
	}
	for index, patch := range filter.ConfigPatches {
		if err := applyPatch(patch, bootstrap); err != nil {
			return fmt.Errorf("%s: configPatches[%d]: %w", object, index, err)
		}
	}
	return nil
}

func applyPatch(patch *networking.EnvoyFilter_EnvoyConfigObjectPatch, bootstrap *bootstrapv3.Bootstrap) error {
	text, err := protojson.Marshal(patch.Patch.Value)
	if err != nil {
		return err
	}
	type step struct {
		to        networking.EnvoyFilter_ApplyTo
		operation networking.EnvoyFilter_Patch_Operation
	}
	steps := map[step]func([]byte, *networking.EnvoyFilter_EnvoyConfigObjectMatch, *bootstrapv3.Bootstrap) error{
		{networking.EnvoyFilter_BOOTSTRAP, networking.EnvoyFilter_Patch_MERGE}:      mergeBootstrap,
		{networking.EnvoyFilter_CLUSTER, networking.EnvoyFilter_Patch_ADD}:          addCluster,
		{networking.EnvoyFilter_CLUSTER, networking.EnvoyFilter_Patch_MERGE}:        mergeCluster,
		{networking.EnvoyFilter_NETWORK_FILTER, networking.EnvoyFilter_Patch_MERGE}: mergeFilter,
	}
	run, known := steps[step{patch.ApplyTo, patch.Patch.Operation}]
	if !known {
		return fmt.Errorf("%v %v is not known here", patch.ApplyTo, patch.Patch.Operation)
	}
	return run(text, patch.Match, bootstrap)
}

func mergeBootstrap(text []byte, _ *networking.EnvoyFilter_EnvoyConfigObjectMatch, bootstrap *bootstrapv3.Bootstrap) error {
	patch := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return err
	}
	proto.Merge(bootstrap, patch)
	return nil
}

func addCluster(text []byte, _ *networking.EnvoyFilter_EnvoyConfigObjectMatch, bootstrap *bootstrapv3.Bootstrap) error {
	patch := &clusterv3.Cluster{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return err
	}
	bootstrap.StaticResources.Clusters = append(bootstrap.StaticResources.Clusters, patch)
	return nil
}

// mergeCluster merges into the clusters whose names end with the matched service, as Istio's
// "outbound|PORT|SUBSET|SERVICE" do. A transport socket of the same name is merged, not replaced.
func mergeCluster(text []byte, match *networking.EnvoyFilter_EnvoyConfigObjectMatch, bootstrap *bootstrapv3.Bootstrap) error {
	patch := &clusterv3.Cluster{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return err
	}
	wanted := match.GetCluster()
	name := fmt.Sprintf("outbound|%d|%s|%s", wanted.GetPortNumber(), wanted.GetSubset(), wanted.GetService())
	for _, cluster := range bootstrap.StaticResources.Clusters {
		if cluster.Name != name {
			continue
		}
		socket := patch.TransportSocket
		if socket != nil && cluster.TransportSocket.GetName() == socket.Name {
			merged, err := mergeAny(cluster.TransportSocket.GetTypedConfig(), socket.GetTypedConfig())
			if err != nil {
				return err
			}
			patch.TransportSocket = nil
			cluster.TransportSocket.GetTypedConfig().Value = merged.Value
		}
		proto.Merge(cluster, patch)
		return nil
	}
	return fmt.Errorf("no cluster %s", name)
}

func mergeFilter(text []byte, match *networking.EnvoyFilter_EnvoyConfigObjectMatch, bootstrap *bootstrapv3.Bootstrap) error {
	patch := &listenerv3.Filter{}
	if err := protojson.Unmarshal(text, patch); err != nil {
		return err
	}
	wanted := match.GetListener()
	for _, listener := range bootstrap.StaticResources.Listeners {
		if listener.Address.GetSocketAddress().GetPortValue() != wanted.GetPortNumber() {
			continue
		}
		for _, chain := range listener.FilterChains {
			for _, filter := range chain.Filters {
				if filter.Name != wanted.GetFilterChain().GetFilter().GetName() {
					continue
				}
				merged, err := mergeAny(filter.GetTypedConfig(), patch.GetTypedConfig())
				if err != nil {
					return err
				}
				filter.GetTypedConfig().Value = merged.Value
				return nil
			}
		}
	}
	return fmt.Errorf("no filter %s on port %d", wanted.GetFilterChain().GetFilter().GetName(), wanted.GetPortNumber())
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

func meshConfig(arguments []string) error {
	text, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	config := &mesh.MeshConfig{}
	if err := protojson.Unmarshal(document, config); err != nil {
		return err
	}
	return print(config.GetDefaultConfig().GetExtraStatTags())
}
