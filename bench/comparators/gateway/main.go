// Gateway streams an RPC to each client with grpc-gateway, in the form of server-
// sent events by a marshaler of its own, as its users do.
//
// The handler is what protoc-gen-grpc-gateway generates for
//
//	option (google.api.http) = {get: "/{topic}"};
//
// but for the tracing, which is off there too: the query is bound to the request,
// metadata is taken from the headers, and runtime.ForwardResponseStream does the
// rest.
package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/ssebridge/ssebridge/bench/internal/publish"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func main() {
	backend := flag.String("backend", "127.0.0.1:50051", "address of the gRPC server")
	options := publish.Parse(os.Args[1:])
	publish.Main(func(ctx context.Context) error { return run(ctx, options.Listen, *backend) })
}

// run serves until ctx is done.
func run(ctx context.Context, listen, backend string) error {
	connection, err := grpc.NewClient(backend, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // the program ends
	mux := runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, &events{}))
	if err := mux.HandlePath(http.MethodGet, "/{topic}", watch(mux, testv1.NewFeedServiceClient(connection))); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // its connections are cut, which is meant
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// watch returns the handler of FeedService.Watch.
func watch(mux *runtime.ServeMux, client testv1.FeedServiceClient) runtime.HandlerFunc {
	filter := utilities.NewDoubleArray([][]string{{"topic"}})
	return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		_, marshaler := runtime.MarshalerForRequest(mux, r)
		fail := func(err error) { runtime.HTTPError(ctx, mux, marshaler, w, r, err) }
		ctx, err := runtime.AnnotateContext(ctx, mux, r, "/ssebridge.test.v1.FeedService/Watch", runtime.WithHTTPPathPattern("/{topic}"))
		if err != nil {
			fail(err)
			return
		}
		request := &testv1.WatchRequest{Topic: path["topic"]}
		if err := r.ParseForm(); err != nil {
			fail(err)
			return
		}
		if err := runtime.PopulateQueryParameters(request, r.Form, filter); err != nil {
			fail(err)
			return
		}
		stream, err := client.Watch(ctx, request)
		if err != nil {
			fail(err)
			return
		}
		header, err := stream.Header()
		if err != nil {
			fail(err)
			return
		}
		ctx = runtime.NewServerMetadataContext(ctx, runtime.ServerMetadata{HeaderMD: header})
		runtime.ForwardResponseStream(ctx, mux, marshaler, w, r, func() (proto.Message, error) { return stream.Recv() },
			mux.GetForwardResponseOptions()...)
	}
}
