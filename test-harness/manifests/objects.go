package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// object is one Kubernetes object and where it stands.
type object struct {
	unstructured.Unstructured
	path string
}

func (o object) String() string {
	return fmt.Sprintf("%s %s %s/%s", o.path, o.GetKind(), o.GetNamespace(), o.GetName())
}

// eachObject visits every object of the paths in order.
func eachObject(paths []string, visit func(object)) error {
	for _, path := range paths {
		documents, err := read(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		objects, err := split(documents)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(objects) == 0 {
			return fmt.Errorf("%s: no objects", path)
		}
		for _, found := range objects {
			visit(object{found, path})
		}
	}
	return nil
}

func read(path string) ([]byte, error) {
	if _, err := os.Stat(filepath.Join(path, "kustomization.yaml")); err != nil {
		return os.ReadFile(path)
	}
	kustomizer := krusty.MakeKustomizer(&krusty.Options{PluginConfig: types.DisabledPluginConfig()})
	built, err := kustomizer.Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, err
	}
	return built.AsYaml()
}

func split(documents []byte) ([]unstructured.Unstructured, error) {
	reader := utilyaml.NewYAMLReader(bufioReader(documents))
	var objects []unstructured.Unstructured
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		// Strict: a key that stands twice is an error, not the last one's win.
		var content map[string]any
		if err := yaml.UnmarshalStrict(document, &content); err != nil {
			return nil, err
		}
		if len(content) == 0 || len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		objects = append(objects, unstructured.Unstructured{Object: normal(content).(map[string]any)})
	}
}
