package upstream

import (
	"fmt"
	"strings"
	"testing"

	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// noteFields returns the fields of common.Note in a service's event, and checks that its resolver
// has the same.
func noteFields(t *testing.T, s *Schema, rpc string) string {
	t.Helper()
	method, err := s.Method(rpc)
	if err != nil {
		t.Fatal(err)
	}
	linked := method.Output().Fields().ByName("note").Message()
	resolved, err := s.Resolver(rpc).FindMessageByURL("type.googleapis.com/common.Note")
	if err != nil {
		t.Fatal(err)
	}
	if resolved.Descriptor() != linked {
		t.Errorf("%s: an Any has another common.Note than the event", rpc)
	}
	var names []string
	for i := range linked.Fields().Len() {
		names = append(names, string(linked.Fields().Get(i).Name()))
	}
	return strings.Join(names, " ")
}

// Two services declare one message in files of two names. Each has its own type.
func TestServicesThatDeclareOneSymbolInTwoFilesHaveTheirOwnTypes(t *testing.T) {
	for name, version := range map[string]backendtest.Reflection{
		"both": backendtest.ReflectionBoth, "v1": backendtest.ReflectionV1, "v1alpha": backendtest.ReflectionV1Alpha,
	} {
		t.Run(name, func(t *testing.T) {
			for _, streams := range []uint32{0, 1} {
				var log lines
				backend := backendtest.Start(t, backendtest.WithReflection(version), backendtest.WithContradiction(t), backendtest.WithMaxConcurrentStreams(streams))
				u := connect(t, Params{Target: backend.Addr(), Logger: log.logger()})
				s, err := u.awaitSchema(within(t))
				if err != nil {
					t.Fatal(err)
				}
				checkFeed(t, s)
				if got := noteFields(t, s, backendtest.AlphaMethod); got != "text" {
					t.Errorf("alpha has a Note with %s", got)
				}
				if got := noteFields(t, s, backendtest.BetaMethod); got != "title number" {
					t.Errorf("beta has a Note with %s", got)
				}
				// Each service's messages know the types of the others.
				for _, rpc := range []string{backendtest.AlphaMethod, backendtest.BetaMethod, watchMethod} {
					for _, other := range []string{"alpha.v1.Event", "beta.v1.Event", "ssebridge.test.v1.Note"} {
						if _, err := s.Resolver(rpc).FindMessageByURL("type.googleapis.com/" + other); err != nil {
							t.Errorf("%s: %s: %v", rpc, other, err)
						}
					}
				}
				if again, err := u.RefreshSchema(within(t)); err != nil || again != s {
					t.Errorf("reading again gives another schema: %v", err)
				}
				if log.count(`services=[beta.v1.BetaService]`) != 1 {
					t.Errorf("the log says %s", log.text.String())
				}
			}
		})
	}
}

// jointReflection answers for several servers, each of which has its own files.
func jointReflection(servers map[string][]*descriptorpb.FileDescriptorProto) reflectionv1.ServerReflectionServer {
	return hostileReflection{
		services: func() (names []string) {
			for name := range servers { // in random order
				names = append(names, name)
			}
			return names
		},
		answer: func(req *reflectionv1.ServerReflectionRequest) []*descriptorpb.FileDescriptorProto {
			return servers[req.GetFileContainingSymbol()]
		},
	}
}

// serviceFiles returns the files of one server: service.proto has a service that takes and returns
// the Note of note.proto, which has one field.
func serviceFiles(pkg, noteField string) []*descriptorpb.FileDescriptorProto {
	return []*descriptorpb.FileDescriptorProto{
		{
			Name: new("service.proto"), Package: &pkg, Syntax: new("proto3"), Dependency: []string{"note.proto"},
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Event"), Field: []*descriptorpb.FieldDescriptorProto{{
				Name: new("note"), Number: new(int32(1)), TypeName: new(".common.Note"),
				Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}}}},
			Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("S"), Method: []*descriptorpb.MethodDescriptorProto{{
				Name: new("Watch"), InputType: new(".common.Note"), OutputType: new("." + pkg + ".Event"), ServerStreaming: new(true),
			}}}},
		},
		{
			Name: new("note.proto"), Package: new("common"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: new("Note"), Field: []*descriptorpb.FieldDescriptorProto{{
				Name: &noteField, Number: new(int32(1)),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}}}},
		},
	}
}

// One server answers for others, whose files have the same names and different contents. Each
// service has its own types, for any number of servers, and the schema does not depend on the order
// of the list.
func TestServicesWhoseFilesHaveOneNameHaveTheirOwnTypes(t *testing.T) {
	const servers = 9
	files := map[string][]*descriptorpb.FileDescriptorProto{}
	for i := range servers {
		pkg := fmt.Sprintf("p%d", i)
		files[pkg+".S"] = serviceFiles(pkg, fmt.Sprintf("field%d", i))
		if i%2 == 1 { // only note.proto has the name of another file
			files[pkg+".S"][0].Name = new(pkg + ".proto")
		}
	}
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone),
		backendtest.WithService(&reflectionv1.ServerReflection_ServiceDesc, jointReflection(files)))
	u := connect(t, Params{Target: backend.Addr()})
	s, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range servers {
		if got, want := noteFields(t, s, fmt.Sprintf("p%d.S/Watch", i)), fmt.Sprintf("field%d", i); got != want {
			t.Errorf("p%d has a Note with %s, want %s", i, got, want)
		}
	}
	for range 5 {
		if again, err := u.RefreshSchema(within(t)); err != nil || again != s {
			t.Errorf("reading again gives another schema: %v", err)
		}
	}
}

// More servers contradict each other than there may be file sets. The first are served, and the
// errors of the others name the reason.
func TestFileSetsAreBounded(t *testing.T) {
	files := map[string][]*descriptorpb.FileDescriptorProto{}
	for i := range maxFileSets + 2 {
		pkg := fmt.Sprintf("p%02d", i)
		files[pkg+".S"] = serviceFiles(pkg, "field"+pkg)
	}
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone),
		backendtest.WithService(&reflectionv1.ServerReflection_ServiceDesc, jointReflection(files)))
	s, err := connect(t, Params{Target: backend.Addr()}).awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxFileSets {
		noteFields(t, s, fmt.Sprintf("p%02d.S/Watch", i))
	}
	for i := range 2 {
		_, err := s.Method(fmt.Sprintf("p%02d.S/Watch", maxFileSets+i))
		if err == nil || !strings.Contains(err.Error(), "its files contradict those of other services") {
			t.Errorf("got %v", err)
		}
	}
}

// Servers may send a file twice with its options in another order, or with other comments.
func TestAFileThatIsSentAgainDoesNotContradictItself(t *testing.T) {
	first, second := serviceFiles("p1", "text"), serviceFiles("p2", "text")
	second[0].Name = new("other.proto")
	second[1].SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{Span: []int32{1, 2, 3}, LeadingComments: new("A comment.")}}}
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(
		&reflectionv1.ServerReflection_ServiceDesc, jointReflection(map[string][]*descriptorpb.FileDescriptorProto{"p1.S": first, "p2.S": second})))
	s, err := connect(t, Params{Target: backend.Addr()}).awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.resolvers) != 1 {
		t.Errorf("there are %d file sets", len(s.resolvers))
	}
}

// A service whose own files contradict each other is broken. It affects no other service, before or
// after it.
func TestAServiceThatContradictsItselfHarmsNoOther(t *testing.T) {
	odd := serviceFiles("p2", "odd")
	odd[0].MessageType = append(odd[0].MessageType, &descriptorpb.DescriptorProto{Name: new("Event")})
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(
		&reflectionv1.ServerReflection_ServiceDesc, jointReflection(map[string][]*descriptorpb.FileDescriptorProto{
			"p1.S": serviceFiles("p1", "one"), "p2.S": odd, "p3.S": serviceFiles("p3", "three"),
		})))
	s, err := connect(t, Params{Target: backend.Addr()}).awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := noteFields(t, s, "p1.S/Watch") + noteFields(t, s, "p3.S/Watch"); got != "onethree" {
		t.Errorf("the others have Notes with %s", got)
	}
	if _, err := s.Method("p2.S/Watch"); err == nil || !strings.Contains(err.Error(), "could not be read") {
		t.Errorf("got %v", err)
	}
}

// A type that only messages name may contradict the services' files.
func TestAWantedTypeThatContradictsServicesIsRead(t *testing.T) {
	files := map[string][]*descriptorpb.FileDescriptorProto{"p1.S": serviceFiles("p1", "one"), "p2.Event": serviceFiles("p2", "two")}
	server, ok := jointReflection(files).(hostileReflection)
	if !ok {
		t.Fatal("no hostileReflection")
	}
	server.services = func() []string { return []string{"p1.S"} }
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(&reflectionv1.ServerReflection_ServiceDesc, server))
	u := connect(t, Params{Target: backend.Addr()})
	s, err := u.awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolver("p1.S/Watch").FindMessageByName("p2.Event"); err == nil {
		t.Fatal("the type is known")
	}
	if s, err = u.RefreshSchema(within(t)); err != nil {
		t.Fatal(err)
	}
	found, err := s.Resolver("p1.S/Watch").FindMessageByName("p2.Event")
	if err != nil {
		t.Fatal(err)
	}
	if note := found.Descriptor().Fields().ByName("note").Message(); note.Fields().ByName("two") == nil {
		t.Error("the type has the Note of another server")
	}
	if got := noteFields(t, s, "p1.S/Watch"); got != "one" {
		t.Errorf("the service has a Note with %s", got)
	}
}

// Extensions are searched in a service's own files first, and then in the others.
func TestExtensionsOfOtherFileSetsAreFound(t *testing.T) {
	set := func(name string, number int32) *descriptorpb.FileDescriptorProto {
		return &descriptorpb.FileDescriptorProto{
			Name: new("ext.proto"), Package: new("x"), Syntax: new("proto2"),
			MessageType: []*descriptorpb.DescriptorProto{{
				Name: new("Open"), ExtensionRange: []*descriptorpb.DescriptorProto_ExtensionRange{{Start: new(int32(100)), End: new(int32(200))}},
			}},
			Extension: []*descriptorpb.FieldDescriptorProto{{
				Name: &name, Number: &number, Extendee: new(".x.Open"),
				Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}},
			Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("S" + name), Method: []*descriptorpb.MethodDescriptorProto{{
				Name: new("Get"), InputType: new(".x.Open"), OutputType: new(".x.Open"),
			}}}},
		}
	}
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(
		&reflectionv1.ServerReflection_ServiceDesc, jointReflection(map[string][]*descriptorpb.FileDescriptorProto{
			"x.Sa": {set("a", 101)}, "x.Sb": {set("b", 102)},
		})))
	s, err := connect(t, Params{Target: backend.Addr()}).awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, rpc := range []string{"x.Sa/Get", "x.Sb/Get"} {
		for number, name := range map[protoreflect.FieldNumber]protoreflect.FullName{101: "x.a", 102: "x.b"} {
			byNumber, err := s.Resolver(rpc).FindExtensionByNumber("x.Open", number)
			if err != nil || byNumber.TypeDescriptor().FullName() != name {
				t.Errorf("%s, %d: %v", rpc, number, err)
			}
			if _, err := s.Resolver(rpc).FindExtensionByName(name); err != nil {
				t.Errorf("%s, %s: %v", rpc, name, err)
			}
		}
	}
}

// Node's reflection serves files without their imports, and the well-known types in a separate
// file.
func TestFilesWithoutTheirImportsAreRead(t *testing.T) {
	files := serviceFiles("p1", "text")
	files[0].Dependency = nil
	files[0].MessageType[0].Field = append(files[0].MessageType[0].Field, &descriptorpb.FieldDescriptorProto{
		Name: new("at"), Number: new(int32(2)), TypeName: new(".google.protobuf.Timestamp"),
		Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	})
	files = append(files, &descriptorpb.FileDescriptorProto{
		Name: new("google_protobuf.proto"), Package: new("google.protobuf"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("Timestamp")}},
	})
	backend := backendtest.Start(t, backendtest.WithReflection(backendtest.ReflectionNone), backendtest.WithService(
		&reflectionv1.ServerReflection_ServiceDesc, jointReflection(map[string][]*descriptorpb.FileDescriptorProto{"p1.S": files})))
	s, err := connect(t, Params{Target: backend.Addr()}).awaitSchema(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := noteFields(t, s, "p1.S/Watch"); got != "text" {
		t.Errorf("the Note has %s", got)
	}
	method, err := s.Method("p1.S/Watch")
	if err != nil {
		t.Fatal(err)
	}
	if at := method.Output().Fields().ByName("at").Message(); at.Fields().ByName("seconds") == nil {
		t.Error("the time is not the well-known one")
	}
}
