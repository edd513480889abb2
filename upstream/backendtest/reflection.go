package backendtest

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

// registerV1Alpha serves the version that v1 replaced. It has its own file so that the deprecated
// package has only one use.
func registerV1Alpha(server *grpc.Server, opts reflection.ServerOptions) {
	grpc_reflection_v1alpha.RegisterServerReflectionServer(server, reflection.NewServer(opts))
}
