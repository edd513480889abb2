package transcode

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// everyMessage returns the generated messages of the differential tests.
func everyMessage() []proto.Message {
	var all []proto.Message

	for _, file := range []interface{ Path() string }{
		testv1.File_ssebridge_test_v1_kinds_proto, testv1.File_ssebridge_test_v1_feed_proto,
		demov1.File_ssebridge_demo_v1_clock_proto, demov1.File_ssebridge_demo_v1_chat_proto,
		demov1.File_ssebridge_demo_v1_metrics_proto, demov1.File_ssebridge_demo_v1_token_proto,
	} {
		fd, err := protoregistry.GlobalFiles.FindFileByPath(file.Path())
		if err != nil {
			panic(err)
		}

		for i := range fd.Messages().Len() {
			mt, err := protoregistry.GlobalTypes.FindMessageByName(fd.Messages().Get(i).FullName())
			if err != nil {
				panic(err)
			}

			all = append(all, mt.New().Interface())
		}
	}
	return all
}

// TestSameAsProtojson fills every message at random and compares the plan with protojson on the
// generated type.
func TestSameAsProtojson(t *testing.T) {
	inside := mustAny(t, &testv1.Kinds{Int32Value: 7, Struct: nil, Any: mustAny(t, &testv1.Note{Text: "deep"})})

	for _, example := range everyMessage() {
		t.Run(string(example.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			for _, opts := range jsonOptions() {
				plan := mustCompile(t, example, opts)

				for seed := range uint64(25) {
					f := filler{Rand: rand.New(rand.NewPCG(seed, 2)), any: inside}
					msg := example.ProtoReflect().New()
					f.message(msg, 3)

					want, err := referenceJSON(msg.Interface(), opts)
					if err != nil {
						t.Fatal(err)
					}

					got, err := plan.AppendJSON([]byte("data: "), marshalWire(t, msg.Interface()))
					if err != nil {
						t.Fatalf("%s, seed %d: %v", opts, seed, err)
					}

					if !bytes.Equal(got, append([]byte("data: "), want...)) {
						t.Fatalf("%s, seed %d:\n got %s\nwant %s", opts, seed, got, want)
					}
				}
			}
		})
	}
}

// TestOneLine checks that no value breaks a data line, and that the output is compact.
func TestOneLine(t *testing.T) {
	plan := mustCompile(t, &testv1.Kinds{}, Options{})
	msg := &testv1.Kinds{StringList: []string{"a\nb", "c\rd", "e\x00f", " , : ", `\`, `\" `}, BoolList: []bool{true, false}}

	got, err := plan.AppendJSON(nil, marshalWire(t, msg))
	if err != nil {
		t.Fatal(err)
	}

	const want = `{"boolList":[true,false],"stringList":["a\nb","c\rd","e\u0000f"," , : ","\\","\\\" "]}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestCompact(t *testing.T) {
	for _, in := range []string{
		``, `{}`, `null`, `" "`, `{"a":1, "b":[1, 2, {"c d":"e, f"}]}`, `["\\", "\" ,", " \\\" , "]`, ` { "a" : "b c" } `,
	} {
		var want bytes.Buffer
		if in != "" {
			if err := json.Compact(&want, []byte(in)); err != nil {
				t.Fatal(err)
			}
		}

		if got := compact([]byte("x y"+in), 3); string(got) != "x y"+want.String() {
			t.Errorf("compact(%s) = %s", in, got)
		}
	}

	// Not JSON, but the function must stay within the buffer.
	for _, in := range []string{`"`, ` "`, ` "\`, ` "\"`} {
		if got := compact([]byte(in), 0); len(got) > len(in) {
			t.Errorf("compact(%s) grew to %s", in, got)
		}
	}
}

// TestNilResolver checks that a plan without a resolver knows only the declarations of the message's
// file and its imports.
func TestNilResolver(t *testing.T) {
	plan := mustCompile(t, &testv1.FeedEvent{}, Options{})

	known := &testv1.FeedEvent{Extra: mustAny(t, &testv1.Kinds{Int32Value: 1})} // imported by the file

	got, err := plan.AppendJSON(nil, marshalWire(t, known))
	if err != nil {
		t.Fatal(err)
	}

	if want := `{"extra":{"@type":"type.googleapis.com/ssebridge.test.v1.Kinds","int32Value":1}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}

	linkedIn := &testv1.FeedEvent{Extra: mustAny(t, &demov1.ClockServiceWatchRequest{})}
	_, err = plan.AppendJSON(nil, marshalWire(t, linkedIn))
	wantKind(t, err, KindUnresolvable)
}

func TestAnyForms(t *testing.T) {
	plan := mustCompile(t, &anypb.Any{}, Options{Resolver: protoregistry.GlobalTypes})

	for _, msg := range everyMessage() {
		wire := marshalWire(t, mustAny(t, msg))

		want, err := reference(msg.ProtoReflect().Descriptor(), nil, Options{Resolver: protoregistry.GlobalTypes})
		if err != nil || string(want) != "{}" {
			t.Fatal(string(want), err)
		}

		got, err := plan.AppendJSON(nil, wire)
		if err != nil || !strings.HasPrefix(string(got), `{"@type":"type.googleapis.com/`) {
			t.Errorf("%s: %s, %v", msg.ProtoReflect().Descriptor().FullName(), got, err)
		}
	}

	if got, err := plan.AppendJSON(nil, nil); err != nil || string(got) != "{}" {
		t.Errorf("an empty Any: %s, %v", got, err)
	}
}

// TestConcurrent runs one plan from several goroutines; the race detector checks it.
func TestConcurrent(t *testing.T) {
	plan := mustCompile(t, &testv1.FeedEvent{}, Options{Taps: Taps{ID: "seq", Name: NameTap{Oneof: "body"}}})
	wire := marshalWire(t, sampleEvent(t))

	want, err := plan.AppendJSON(nil, wire)
	if err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var out Tapped

			for range 50 {
				got, err := plan.AppendTapped(nil, wire, &out)
				if err != nil || !bytes.Equal(got, want) || string(out.ID) != "41" || string(out.Name) != "note" {
					t.Errorf("got %s, id %s, name %s, %v", got, out.ID, out.Name, err)
					return
				}
			}
		})
	}

	wg.Wait()
}

func TestCompileRefuses(t *testing.T) {
	md := (&testv1.Note{}).ProtoReflect().Descriptor()

	if _, err := Compile(nil, Options{}); err == nil {
		t.Error("no message type was accepted")
	}

	for _, opts := range []Options{{MaxDepth: -1}, {MaxBytes: -1}} {
		if _, err := Compile(md, opts); err == nil || !strings.Contains(err.Error(), "negative") {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}
