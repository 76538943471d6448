package main

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// targets prints what Prometheus would call each target of a monitor: the monitor, the workload, and
// the label `postgresql`, by which alerts and dashboards join what exporters and proxies say.
func targets(paths []string) error {
	world, err := newWorld(paths)
	if err != nil {
		return err
	}
	for _, object := range world.objects {
		for _, pods := range world.monitored(object) {
			for _, list := range []string{"endpoints", "podMetricsEndpoints"} {
				for _, endpoint := range nestedMaps(object.Object, "spec", list) {
					target := map[string]string{}
					for name, value := range pods.labels {
						target["__meta_kubernetes_pod_label_"+metaName.ReplaceAllString(name, "_")] = value
					}
					if err := relabel(target, nestedMaps(endpoint, "relabelings")); err != nil {
						return fmt.Errorf("%s: %w", object, err)
					}
					fmt.Printf("%s %s %s %q\n", object.GetName(), endpoint["port"], pods.name, target["postgresql"])
				}
			}
		}
	}
	return nil
}

// metaName is what may not stand in a label's name of Prometheus.
var metaName = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func (w *world) monitored(object object) []*pods {
	wanted := labelsAt(object, "spec", "selector", "matchLabels")
	switch object.GetKind() {
	case "PodMonitor":
		return w.selected(object.GetNamespace(), wanted.AsSelector())
	case "ServiceMonitor":
		var found []*pods
		for _, service := range w.services {
			if service.namespace == object.GetNamespace() && wanted.AsSelector().Matches(service.labels) {
				found = append(found, w.selected(service.namespace, service.selector.AsSelector())...)
			}
		}
		return found
	}
	return nil
}

// relabel does what Prometheus does, for the one action that we use: `replace`.
func relabel(target labels.Set, steps []map[string]any) error {
	for _, step := range steps {
		text := func(name, otherwise string) string {
			if value, set := step[name].(string); set {
				return value
			}
			return otherwise
		}
		if action := text("action", "replace"); action != "replace" {
			return fmt.Errorf("%s is not known here", action)
		}
		pattern, err := regexp.Compile("^(?s:" + text("regex", "(.*)") + ")$")
		if err != nil {
			return err
		}
		var values []string
		sources, _ := step["sourceLabels"].([]any)
		for _, source := range sources {
			values = append(values, target[fmt.Sprint(source)])
		}
		value := strings.Join(values, ";")
		if match := pattern.FindStringSubmatchIndex(value); match != nil {
			made := pattern.ExpandString(nil, text("replacement", "$1"), value, match)
			target[text("targetLabel", "")] = string(made)
		}
	}
	return nil
}
