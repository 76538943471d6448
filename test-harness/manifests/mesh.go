package main

import (
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	mesh "istio.io/api/mesh/v1alpha1"
	"sigs.k8s.io/yaml"
)

// meshConfig decodes a file as Istio's MeshConfig and prints its `extraStatTags`.
func meshConfig(arguments []string) error {
	text, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	config := &mesh.MeshConfig{}
	if err := decodeYaml(text, config); err != nil {
		return err
	}
	return print(config.GetDefaultConfig().GetExtraStatTags())
}

// proxyConfigs decodes each annotation for Istio's proxies that pods have, strictly, and prints their
// `extraStatTags` by the pods' name.
func proxyConfigs(paths []string) error {
	world, err := newWorld(paths)
	if err != nil {
		return err
	}
	found := map[string][]string{}
	for _, pods := range world.pods {
		text, annotated := pods.annotations["proxy.istio.io/config"]
		if !annotated {
			continue
		}
		config := &mesh.ProxyConfig{}
		if err := decodeYaml([]byte(text), config); err != nil {
			return fmt.Errorf("%s: %w", pods, err)
		}
		found[pods.name] = config.GetExtraStatTags()
	}
	return print(found)
}

func decodeYaml(text []byte, into proto.Message) error {
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(document, into)
}
