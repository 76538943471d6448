package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	kinds "github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Decodes dashboards into Grafana's own types, those of each panel's kind and data source included: a
// field that they have not, or one of another type, is a fault.
func dashboards(paths []string) error {
	kinds.RegisterDefaultPlugins()
	wrong := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !json.Valid(text) {
			return fmt.Errorf("%s: not JSON", path)
		}
		faults := dashboardFaults(text)
		if len(faults) == 0 {
			fmt.Println("ok", path)
		}
		for _, fault := range faults {
			fmt.Println("wrong", path, fault)
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d faults", wrong)
	}
	return nil
}

func dashboardFaults(text []byte) []error {
	var board dashboard.Dashboard
	err := board.UnmarshalJSONStrict(text)
	if err == nil {
		err = board.Validate()
	}
	var several cog.BuildErrors
	if errors.As(err, &several) {
		faults := make([]error, len(several))
		for place, fault := range several {
			faults[place] = fault
		}
		return faults
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
