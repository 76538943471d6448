// Loki, as its own repository builds it: this module only pins it.
//
//go:build tools

package loki

import _ "github.com/grafana/loki/v3/cmd/loki"
