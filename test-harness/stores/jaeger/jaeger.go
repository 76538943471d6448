// Jaeger's all-in-one, as its own repository builds it: this module only pins it.
//
//go:build tools

package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
