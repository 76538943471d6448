package main

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// plugin is what Istio hands to one of our modules.
type plugin struct {
	Path string `json:"path"`
	Name string `json:"name"`
	// Image is the last part of the image's name, without its tag: "envoy-metrics".
	Image  string         `json:"image"`
	Config map[string]any `json:"config"`
}

// wasmAt says where each kind keeps the description of the module.
var wasmAt = map[string][]string{
	"WasmPlugin":       {"spec"},
	"TrafficExtension": {"spec", "wasm"},
}

func plugins(paths []string) error {
	found := []plugin{}
	err := eachObject(paths, func(object object) {
		at, known := wasmAt[object.GetKind()]
		if !known {
			return
		}
		wasm, _, _ := unstructured.NestedMap(object.Object, at...)
		config, _, _ := unstructured.NestedMap(wasm, "pluginConfig")
		url, _, _ := unstructured.NestedString(wasm, "url")
		image, _, _ := strings.Cut(url[strings.LastIndex(url, "/")+1:], ":")
		found = append(found, plugin{object.path, object.GetName(), image, config})
	})
	if err != nil {
		return err
	}
	return print(found)
}
