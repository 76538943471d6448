// Command manifests judges the Kubernetes manifests under envoy-configs as a cluster would, without
// one: custom resources by the CustomResourceDefinitions of their makers, CEL rules included, and
// Kubernetes' own objects by strict decoding into Kubernetes' types.
//
//	manifests check CRDS PATH...     one line per object: "ok" or what is wrong with it
//	manifests plugins PATH...        the pluginConfig of every WasmPlugin and TrafficExtension, as JSON
//	manifests apply PATH BOOTSTRAP   BOOTSTRAP (JSON) with the EnvoyFilters of PATH applied, as JSON
//	manifests resources PATH...      Envoy's resources in CiliumEnvoyConfigs, decoded and as JSON
//	manifests mesh-config PATH       decodes PATH as Istio's MeshConfig
//
// A PATH is a file of YAML documents, or a directory with a kustomization, which is built first.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type command struct {
	arguments int
	run       func(arguments []string) error
}

var commands = map[string]command{
	"check":       {2, check},
	"plugins":     {1, plugins},
	"apply":       {2, apply},
	"resources":   {1, resources},
	"mesh-config": {1, meshConfig},
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: manifests check|plugins|apply|resources|mesh-config ARGUMENT..."))
	}
	command, known := commands[os.Args[1]]
	if !known || len(os.Args)-2 < command.arguments {
		fail(fmt.Errorf("%s: unknown, or arguments are missing", os.Args[1]))
	}
	if err := command.run(os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "manifests:", err)
	os.Exit(1)
}

func check(arguments []string) error {
	judge, err := newJudge(arguments[0])
	if err != nil {
		return err
	}
	wrong := 0
	err = eachObject(arguments[1:], func(object object) {
		faults := judge.faults(object)
		if len(faults) == 0 {
			fmt.Println("ok", object)
		}
		for _, fault := range faults {
			fmt.Println("wrong", object, fault)
			wrong++
		}
	})
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%d faults", wrong)
	}
	return err
}

func print(value any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
