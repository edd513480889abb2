package cli

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// selfImporting is a reflection service whose only file imports itself.
type selfImporting struct {
	reflectionv1.UnimplementedServerReflectionServer
}

func (selfImporting) ServerReflectionInfo(stream reflectionv1.ServerReflection_ServerReflectionInfoServer) error {
	file, err := proto.Marshal(&descriptorpb.FileDescriptorProto{Name: new("a.proto"), Dependency: []string{"a.proto"}})
	if err != nil {
		return err
	}
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		response := &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{
			FileDescriptorResponse: &reflectionv1.FileDescriptorResponse{FileDescriptorProto: [][]byte{file}},
		}}
		if request.GetListServices() != "" {
			response.MessageResponse = &reflectionv1.ServerReflectionResponse_ListServicesResponse{
				ListServicesResponse: &reflectionv1.ListServiceResponse{Service: []*reflectionv1.ServiceResponse{{Name: "a.A"}}},
			}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// A backend whose descriptors cannot be used is reported at once, and not as one that is away.
func TestDescriptorsThatCannotBeUsed(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone),
		backendtest.WithService(&reflectionv1.ServerReflection_ServiceDesc, selfImporting{}))
	conf := file(t, "ssebridge.yaml", "upstreams: {app: {target: '"+backend.Target()+"'}}\nroutes: [{path: /a, rpc: a.A/B, upstream: app}]\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"init", "--upstream", backend.Target(), "--timeout", "10m"}, "answers, but does not tell its types: "},
		{[]string{"check", "--connect", "--timeout", "10m", "--config", conf}, "upstreams.app.schema: "},
	} {
		code, stdout, stderr := run(t, c.args...)
		const why = `the backend's schema could not be read: the backend's schema is refused: "a.proto" imports itself`
		if code != ExitError || stdout != "" || !strings.Contains(stderr, c.want+why) || strings.Contains(stderr, "cannot be reached") {
			t.Errorf("%s: exit %d, %q: %s", c.args[0], code, stdout, stderr)
		}
	}
}

// A service that the backend lists and cannot describe is left out with the reason.
func TestInitNamesServicesThatCannotBeRead(t *testing.T) {
	lost := backendtest.WithService(&grpc.ServiceDesc{ServiceName: "lost.v1.Lost"}, nil)
	const want = "lost.v1.Lost is listed by the backend, but its schema could not be read: "
	backend := backendtest.Start(t, lost)
	code, stdout, stderr := run(t, "init", "--upstream", backend.Target())
	if code != ExitOK || strings.Contains(stdout, "lost") || !strings.Contains(strings.Join(strings.Fields(stderr), " "), want) {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// Where no method becomes a route, the services that cannot be read may be why.
func TestInitNamesServicesThatCannotBeReadWhereThereIsNoRoute(t *testing.T) {
	err := initFlags{target: "app:1"}.nothing([]bridge.RouteInfo{{RPC: "a.A/B"}, {RPC: "lost.v1.Lost", Fault: "no file"}})
	const want = "app:1 has no server-streaming method that could become a route (methods in all: 1)\n" +
		"  lost.v1.Lost is listed by the backend, but its schema could not be read: no file"
	if err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}
