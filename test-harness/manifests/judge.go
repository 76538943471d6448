package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// judge knows what a cluster with the given CustomResourceDefinitions accepts.
type judge struct {
	custom map[schema.GroupVersionKind]*resource
	core   func(object) error
}

// resource is one version of a CustomResourceDefinition, ready to judge by.
type resource struct {
	schema     validation.SchemaValidator
	structural *structuralschema.Structural
	rules      *cel.Validator
}

func newJudge(crds string) (*judge, error) {
	paths, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("%s: no CustomResourceDefinitions (%v)", crds, err)
	}
	made := &judge{custom: map[schema.GroupVersionKind]*resource{}, core: strictDecoder()}
	for _, path := range paths {
		if err := made.learn(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return made, nil
}

func (j *judge) learn(path string) error {
	documents, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	objects, err := split(documents)
	if err != nil {
		return err
	}
	for _, found := range objects {
		var definition apiextensionsv1.CustomResourceDefinition
		text, err := json.Marshal(found.Object)
		if err == nil {
			err = yaml.Unmarshal(text, &definition)
		}
		if err != nil {
			return err
		}
		for _, version := range definition.Spec.Versions {
			made, err := newResource(version)
			if err != nil {
				return fmt.Errorf("%s: %w", definition.Name, err)
			}
			kind := schema.GroupVersionKind{
				Group: definition.Spec.Group, Version: version.Name, Kind: definition.Spec.Names.Kind,
			}
			j.custom[kind] = made
		}
	}
	return nil
}

func newResource(version apiextensionsv1.CustomResourceDefinitionVersion) (*resource, error) {
	var internal apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		version.Schema.OpenAPIV3Schema, &internal, nil)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	return &resource{validator, structural, rules}, nil
}

// undefined are groups whose makers' definitions no Go module carries that can be had.
var undefined = []string{
	"consul.hashicorp.com", "policy.linkerd.io", "postgres-operator.crunchydata.com",
}

// unjudged: there is nothing here to judge it by.
func (j *judge) unjudged(object object) bool {
	kind := object.GroupVersionKind()
	_, known := j.custom[kind]
	return !known && slices.Contains(undefined, kind.Group)
}

// faults says all that is wrong with an object; a kind that nobody here knows is wrong, too.
func (j *judge) faults(object object) []string {
	if custom, known := j.custom[object.GroupVersionKind()]; known {
		return custom.faults(object)
	}
	if err := j.core(object); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func (r *resource) faults(object object) []string {
	var found []string
	content := object.DeepCopy().Object
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(content, r.structural, true, options) {
		found = append(found, "unknown field "+path)
	}
	defaulting.Default(content, r.structural)
	for _, fault := range validation.ValidateCustomResource(nil, content, r.schema) {
		found = append(found, fault.Error())
	}
	for _, fault := range listtype.ValidateListSetsAndMaps(nil, r.structural, content) {
		found = append(found, fault.Error())
	}
	if r.rules != nil {
		broken, _ := r.rules.Validate(context.Background(), nil, r.structural, content, nil, math.MaxInt64)
		for _, fault := range broken {
			found = append(found, fault.Error())
		}
	}
	return found
}

// strictDecoder decodes into Kubernetes' own types; an unknown field is an error.
func strictDecoder() func(object) error {
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict)
	decoder := codecs.UniversalDeserializer()
	return func(object object) error {
		text, err := json.Marshal(object.Object)
		if err != nil {
			return err
		}
		_, _, err = decoder.Decode(text, nil, nil)
		return err
	}
}

func bufioReader(text []byte) *bufio.Reader {
	return bufio.NewReader(bytes.NewReader(text))
}

// normal gives numbers the types that Kubernetes' JSON decoder gives them: whole ones are integers.
func normal(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			value[key] = normal(inner)
		}
	case []any:
		for index, inner := range value {
			value[index] = normal(inner)
		}
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return int64(value)
		}
	}
	return value
}
