package main

import (
	"fmt"
	"os"

	contrib "github.com/envoyproxy/go-control-plane/contrib/envoy/extensions/filters/network/postgres_proxy/v3alpha"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/starttls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// Contrib's one type that we ship; the others above come into the registry by themselves.
var _ = (*contrib.PostgresProxy)(nil)

// bootstraps holds files against Envoy's typed API: no unknown field, no unknown type, and every
// rule that the API states, within the typed configurations of extensions too. A file whose top is
// "resources" is what SDS reads.
func bootstraps(paths []string) error {
	for _, path := range paths {
		if err := bootstrap(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Println("ok", path)
	}
	return nil
}

func bootstrap(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	var top struct {
		Resources []any `json:"resources"`
	}
	if err := yaml.Unmarshal(text, &top); err != nil {
		return err
	}
	var message proto.Message = &bootstrapv3.Bootstrap{}
	if top.Resources != nil {
		message = &discoveryv3.DiscoveryResponse{}
	}
	if err := protojson.Unmarshal(document, message); err != nil {
		return err
	}
	return validate(message)
}

// validate descends into every Any, which the generated ValidateAll does not.
func validate(message proto.Message) error {
	if packed, is := message.(*anypb.Any); is {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		return validate(inner)
	}
	if rules, has := message.(interface{ ValidateAll() error }); has {
		if err := rules.ValidateAll(); err != nil {
			return err
		}
	}
	var failed error
	descend := func(value protoreflect.Value) {
		if failed == nil {
			failed = validate(value.Message().Interface())
		}
	}
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, value protoreflect.Value) bool {
					descend(value)
					return failed == nil
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for index := range value.List().Len() {
				descend(value.List().Get(index))
			}
		default:
			descend(value)
		}
		return failed == nil
	})
	return failed
}
