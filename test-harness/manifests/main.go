// Command manifests judges the Kubernetes manifests under envoy-configs as a cluster would, without
// one: custom resources by the CustomResourceDefinitions of their makers, CEL rules included, and
// Kubernetes' own objects by strict decoding into Kubernetes' types.
//
//	manifests check CRDS PATH...     one line per object: "ok", "unjudged", or what is wrong with it
//	manifests build PATH             the objects of PATH as YAML documents
//	manifests plugins PATH...        the pluginConfig of every WasmPlugin and TrafficExtension, as JSON
//	manifests apply KIND LABELS PATH BOOTSTRAP
//	                                 BOOTSTRAP (JSON) of a sidecar, gateway or waypoint with LABELS (a=b,...)
//	                                 with the EnvoyFilters of PATH applied, as JSON
//	manifests resources PATH...      Envoy's resources in CiliumEnvoyConfigs, decoded and as JSON
//	manifests mesh-config PATH       the extraStatTags of PATH, which is Istio's MeshConfig
//	manifests proxy-configs PATH     the extraStatTags of the pods' annotations, by workload
//	manifests wiring PATH...         what does not meet in all that is built, and what is yours to make
//	manifests reach PATH FLOW...     whether NetworkPolicies let each FROM>TO:PORT pass
//	manifests dashboards FILE...     each dashboard by Grafana's own types: "ok", or what is wrong with it
//	manifests bootstrap FILE...      decodes and validates Envoy's own bootstraps and what SDS reads
//	manifests targets PATH           the label `postgresql` of every target that Prometheus would scrape
//
// A PATH is a file of YAML documents, or a directory with a kustomization, which is built first.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

type command struct {
	arguments int
	run       func(arguments []string) error
}

var commands = map[string]command{
	"bootstrap":     {1, bootstraps},
	"build":         {1, build},
	"check":         {2, check},
	"dashboards":    {1, dashboards},
	"plugins":       {1, plugins},
	"apply":         {4, apply},
	"resources":     {1, resources},
	"mesh-config":   {1, meshConfig},
	"proxy-configs": {1, proxyConfigs},
	"wiring":        {1, wiring},
	"reach":         {2, reach},
	"targets":       {1, targets},
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: manifests %s ARGUMENT...", strings.Join(slices.Sorted(maps.Keys(commands)), "|")))
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
		if judge.unjudged(object) {
			fmt.Println("unjudged", object)
			return
		}
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

func build(arguments []string) error {
	documents, err := read(arguments[0])
	if err == nil {
		_, err = os.Stdout.Write(documents)
	}
	return err
}

func print(value any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
