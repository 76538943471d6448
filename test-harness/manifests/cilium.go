package main

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// resources decodes what CiliumEnvoyConfigs carry into Envoy's own types, as Cilium's agent does, and
// prints them as one JSON list.
func resources(paths []string) error {
	decoded := []json.RawMessage{}
	var failed error
	err := eachObject(paths, func(object object) {
		if failed != nil || object.GetKind() != "CiliumEnvoyConfig" {
			return
		}
		carried, _, _ := unstructured.NestedSlice(object.Object, "spec", "resources")
		for index, resource := range carried {
			text, err := decode(resource)
			if err != nil {
				failed = fmt.Errorf("%s: resources[%d]: %w", object, index, err)
				return
			}
			decoded = append(decoded, text)
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	return print(decoded)
}

func decode(resource any) ([]byte, error) {
	text, err := json.Marshal(resource)
	if err != nil {
		return nil, err
	}
	message := &anypb.Any{}
	if err := protojson.Unmarshal(text, message); err != nil {
		return nil, err
	}
	return protojson.Marshal(message)
}
