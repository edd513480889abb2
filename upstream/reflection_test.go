package upstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

func TestSchemaByReflection(t *testing.T) {
	for name, version := range map[string]backendtest.Reflection{
		"both": backendtest.ReflectionBoth, "v1": backendtest.ReflectionV1, "v1alpha": backendtest.ReflectionV1Alpha,
	} {
		t.Run(name, func(t *testing.T) {
			backend := backendtest.Start(t, backendtest.WithReflection(version))
			u := connect(t, Params{Target: backend.Addr()})
			s, err := u.awaitSchema(within(t))
			if err != nil {
				t.Fatal(err)
			}
			checkFeed(t, s)
			if _, err := s.Method("grpc.health.v1.Health/Watch"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAMissingSchemaNamesTheReason(t *testing.T) {
	gone := backendtest.Start(t)
	gone.Stop()
	without := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone))
	for _, c := range []struct {
		name   string
		target string
		code   codes.Code
		want   string
	}{
		{"away", gone.Addr(), codes.Unavailable, "connection refused"},
		{"without reflection", without.Addr(), codes.Unimplemented, "reflection is not served by the backend"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := connect(t, Params{Target: c.target, OpenTimeout: 100 * time.Millisecond})
			awaitReading(t, u)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := u.awaitSchema(ctx)
			wantCode(t, err, c.code)
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "the schema of upstream app is not known: ") {
				t.Errorf("got %q, want it to say %q", err, c.want)
			}
			if u.Schema() != nil {
				t.Error("there is a schema")
			}
		})
	}
}

// awaitReading waits for a reading of the schema that begins from now on, with any result.
func awaitReading(t *testing.T, u *Upstream) {
	t.Helper()
	ctx := within(t)
	_, _ = u.RefreshSchema(ctx) // awaitSchema returns the same error
	if ctx.Err() != nil {
		t.Fatal("the schema was not read again")
	}
}

func TestTheSchemaOfABackendThatStartsLaterIsRead(t *testing.T) {
	backend := backendtest.Start(t)
	backend.Stop()
	u := connect(t, Params{Target: backend.Addr(), OpenTimeout: 50 * time.Millisecond})
	awaitReading(t, u)
	changed := u.SchemaChanged()
	if u.Schema() != nil {
		t.Fatal("there is a schema")
	}
	backend.Restart()
	s, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	checkFeed(t, s)
	select {
	case <-changed:
	case <-within(t).Done():
		t.Error("the change was not reported")
	}
}

// extraService returns a service that exists only as a descriptor.
func extraService(t *testing.T, name string) (*protoregistry.Files, *grpc.ServiceDesc) {
	t.Helper()
	files := feedFiles(t)
	if err := register(files, healthFile(t)); err != nil {
		t.Fatal(err)
	}
	if err := files.RegisterFile(parseFile(t, &descriptorpb.FileDescriptorProto{
		Name: new("extra.proto"), Package: new("extra.v1"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Thing")}, {Name: new("Other")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new(name),
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: new("Watch"), InputType: new(".extra.v1.Thing"), OutputType: new(".extra.v1.Thing"), ServerStreaming: new(true),
			}},
		}},
	}, files)); err != nil {
		t.Fatal(err)
	}
	if err := files.RegisterFile(parseFile(t, &descriptorpb.FileDescriptorProto{
		Name: new("outside.proto"), Package: new("outside.v1"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Outside")}},
	}, files)); err != nil {
		t.Fatal(err)
	}
	return files, &grpc.ServiceDesc{ServiceName: "extra.v1." + name, Metadata: "extra.proto"}
}

func healthFile(t *testing.T) protoreflect.FileDescriptor {
	t.Helper()
	fd, err := protoregistry.GlobalFiles.FindFileByPath("grpc/health/v1/health.proto")
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestABackendThatComesBackIsReadAgain(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	first, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("unchanged", func(t *testing.T) {
		changed := u.SchemaChanged()
		generation := u.pool.newestGeneration()
		backend.Restart()
		awaitGeneration(t, u, generation+1)
		if s, err := u.RefreshSchema(within(t)); err != nil || s != first || u.Schema() != first {
			t.Errorf("an unchanged schema is another one: %v", err)
		}
		select {
		case <-changed:
			t.Error("a change was reported")
		default:
		}
	})
	t.Run("changed", func(t *testing.T) {
		changed := u.SchemaChanged()
		files, desc := extraService(t, "Extra")
		backend.Restart(backendtest.WithDescriptors(files), backendtest.WithService(desc, nil))
		select {
		case <-changed:
		case <-within(t).Done():
			t.Fatal("the change was not noticed")
		}
		if _, err := u.Schema().Method("extra.v1.Extra/Watch"); err != nil {
			t.Error(err)
		}
		if _, err := first.Method("extra.v1.Extra/Watch"); err == nil {
			t.Error("a schema has changed")
		}
	})
}

// awaitGeneration waits for the first connection to come up for the nth time.
func awaitGeneration(t *testing.T, u *Upstream, n uint64) {
	t.Helper()
	ctx := within(t)
	u.pool.mu.Lock()
	defer u.pool.mu.Unlock()
	for u.pool.generation < n {
		if err := u.pool.waitLocked(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// An Any may hold a type that is reachable from no service.
func TestATypeThatNoServiceReachesIsReadOnRequest(t *testing.T) {
	files, desc := extraService(t, "Extra")
	backend := backendtest.Start(t, backendtest.WithDescriptors(files), backendtest.WithService(desc, nil))
	u := connect(t, Params{Target: backend.Addr()})
	s, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"outside.v1.Outside", "outside.v1.Nowhere"} {
		if _, err := s.Resolver("").FindMessageByURL("type.googleapis.com/" + name); !errors.Is(err, protoregistry.NotFound) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	s, err = u.RefreshSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolver(watchMethod).FindMessageByURL("type.googleapis.com/outside.v1.Outside"); err != nil {
		t.Error(err)
	}
	if _, err := s.Method("extra.v1.Extra/Watch"); err != nil {
		t.Error(err)
	}
	if again, err := u.RefreshSchema(within(t)); err != nil || again != s {
		t.Errorf("reading again gives another schema: %v", err)
	}
	u.schema.mu.Lock()
	defer u.schema.mu.Unlock()
	if fmt.Sprint(u.schema.wanted) != "[outside.v1.Outside]" {
		t.Errorf("remembered: %v", u.schema.wanted)
	}
}

func TestAServiceThatCannotBeReadDoesNotHideOthers(t *testing.T) {
	backend := backendtest.Start(t, backendtest.WithService(&grpc.ServiceDesc{ServiceName: "lost.v1.Lost"}, nil))
	u := connect(t, Params{Target: backend.Addr()})
	s, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	checkFeed(t, s)
	if _, err := s.Method("lost.v1.Lost/Watch"); err == nil || !strings.Contains(err.Error(), `service "lost.v1.Lost" is listed by the backend, but its schema could not be read`) {
		t.Errorf("got %v", err)
	}
}

func TestReflectionGoesWithTheStaticMetadata(t *testing.T) {
	token := func(ctx context.Context) bool {
		md, _ := metadata.FromIncomingContext(ctx)
		return fmt.Sprint(md["authorization"]) == "[Bearer t]"
	}
	backend := backendtest.Start(t, backendtest.WithServerOptions(grpc.StreamInterceptor(
		func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if !token(stream.Context()) {
				return status.Error(codes.Unauthenticated, "who are you?")
			}
			return handler(srv, stream)
		})))
	u := connect(t, Params{Target: backend.Addr(), Metadata: map[string]string{"authorization": "Bearer t"}})
	if _, err := u.awaitSchema(within(t)); err != nil {
		t.Error(err)
	}
	u = connect(t, Params{Target: backend.Addr()})
	_, err := u.RefreshSchema(within(t))
	wantCode(t, err, codes.Unauthenticated)
}

func TestRefreshesAtTheSameTimeShareAReading(t *testing.T) {
	backend := backendtest.Start(t)
	u := connect(t, Params{Target: backend.Addr()})
	if _, err := u.awaitSchema(within(t)); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 50)
	for range cap(results) {
		go func() {
			s, err := u.RefreshSchema(within(t))
			if err == nil && s != u.Schema() {
				err = errors.New("another schema")
			}
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// hostileReflection answers every request by calling answer.
type hostileReflection struct {
	reflectionv1.UnimplementedServerReflectionServer

	services func() []string // nil: a.A
	answer   func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto
}

func (h hostileReflection) ServerReflectionInfo(stream reflectionv1.ServerReflection_ServerReflectionInfoServer) error {
	for {
		req, err := stream.Recv()
		if isEOF(err) {
			return nil
		}
		if err != nil {
			return err
		}
		response := &reflectionv1.ServerReflectionResponse{}
		if _, ok := req.GetMessageRequest().(*reflectionv1.ServerReflectionRequest_ListServices); ok {
			names := []string{"a.A"}
			if h.services != nil {
				names = h.services()
			}
			list := &reflectionv1.ListServiceResponse{}
			for _, name := range names {
				list.Service = append(list.Service, &reflectionv1.ServiceResponse{Name: name})
			}
			response.MessageResponse = &reflectionv1.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: list}
		} else {
			files := &reflectionv1.FileDescriptorResponse{}
			for _, file := range h.answer(req) {
				b, err := proto.Marshal(file)
				if err != nil {
					return err
				}
				files.FileDescriptorProto = append(files.FileDescriptorProto, b)
			}
			response.MessageResponse = &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{FileDescriptorResponse: files}
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func TestHostileReflection(t *testing.T) {
	file := func(name string, imports ...string) *descriptorpb.FileDescriptorProto {
		return &descriptorpb.FileDescriptorProto{Name: &name, Dependency: imports}
	}
	asked := func(req *reflectionv1.ServerReflectionRequest) string {
		if name := req.GetFileByFilename(); name != "" {
			return name
		}
		return "a.proto"
	}
	for _, c := range []struct {
		name   string
		answer func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto
		want   string
	}{
		{"files that import each other", func(req *reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			if asked(req) == "a.proto" {
				return []*descriptorpb.FileDescriptorProto{file("a.proto", "b.proto")}
			}
			return []*descriptorpb.FileDescriptorProto{file("b.proto", "a.proto")}
		}, `imports itself`},
		{"a file that imports itself", func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			return []*descriptorpb.FileDescriptorProto{file("a.proto", "a.proto")}
		}, `"a.proto" imports itself`},
		{"imports without an end", func(req *reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			return []*descriptorpb.FileDescriptorProto{file(asked(req), "x"+asked(req)[max(0, len(asked(req))-200):]+strconv.FormatInt(time.Now().UnixNano(), 10))}
		}, `it has more than 4096 files`},
		{"another file than asked for", func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			return []*descriptorpb.FileDescriptorProto{file("a.proto", "b.proto")}
		}, `it takes more than 8192 requests`},
		{"large files", func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			large := file("a.proto", "b.proto")
			large.Package = new(strings.Repeat("x", 3<<20))
			return []*descriptorpb.FileDescriptorProto{large}
		}, `it is larger than 32 MiB`},
		{"no service in it", func(*reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			return []*descriptorpb.FileDescriptorProto{file("a.proto")}
		}, `schema could not be read`},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone),
				backendtest.WithService(&reflectionv1.ServerReflection_ServiceDesc, hostileReflection{answer: c.answer}))
			const patience = 10 * time.Minute // thousands of sequential requests take long on a busy machine
			u := connect(t, Params{Target: backend.Addr(), reflectionTimeout: patience})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := u.RefreshSchema(ctx)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
			checkCarries(t, u, backend)
		})
	}
}
