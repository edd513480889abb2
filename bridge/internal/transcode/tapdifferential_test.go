package transcode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// randomPath returns a path of up to three fields from a message, and its last field.
func randomPath(random *rand.Rand, md protoreflect.MessageDescriptor) (string, protoreflect.FieldDescriptor) {
	path := ""

	for depth := 0; ; depth++ {
		fd := md.Fields().Get(random.IntN(md.Fields().Len()))
		path += string(fd.Name())

		if depth == 3 || fd.IsMap() || fd.Message() == nil || fd.Message().Fields().Len() == 0 || random.IntN(3) == 0 {
			return path, fd
		}

		path += "."
		md = fd.Message()
	}
}

// randomTaps returns taps that fit a type.
func randomTaps(random *rand.Rand, md protoreflect.MessageDescriptor, opts Options) Options {
	for range 12 {
		tried := opts
		path, fd := randomPath(random, md)

		switch random.IntN(4) {
		case 0:
			tried.Taps.ID = path
		case 1:
			tried.Taps.Name = NameTap{Field: path}
		case 2:
			tried.Taps.Data = DataTap{Field: path}
		default:
			od := fd.ContainingOneof()
			if od == nil || od.IsSynthetic() {
				continue
			}

			oneof := path[:len(path)-len(fd.Name())] + string(od.Name())
			if random.IntN(2) == 0 {
				tried.Taps.Name = NameTap{Oneof: oneof}
			} else {
				tried.Taps.Data = DataTap{Oneof: oneof}
			}
		}

		if _, err := Compile(md, tried); err == nil {
			opts = tried
		}
	}
	return opts
}

// sameTaps compares the taps of the passes and of ReadTaps with those of a decoded message.
func sameTaps(plan *Plan, wire []byte) error {
	var want, got, read Tapped

	wantData, wantErr := plan.libraryTapped(nil, wire, &want)
	wantTaps := plan.libraryTaps(wire, new(Tapped))

	gotData, err := plan.AppendTapped([]byte("head"), wire, &got)
	readErr := plan.ReadTaps(wire, &read)

	differ := func(what string) error {
		return fmt.Errorf("%s, %x: %s:\n got %s, id %q %t, name %q %t, %w\nread id %q %t, name %q %t, %w\nwant %s, id %q %t, name %q %t, %w",
			plan.name, wire, what, gotData, got.ID, got.HasID, got.Name, got.HasName, err,
			read.ID, read.HasID, read.Name, read.HasName, readErr, wantData, want.ID, want.HasID, want.Name, want.HasName, wantErr)
	}

	same := func(a, b *Tapped) bool {
		return a.HasID == b.HasID && a.HasName == b.HasName && bytes.Equal(a.ID, b.ID) && bytes.Equal(a.Name, b.Name)
	}

	switch {
	case (err == nil) != (wantErr == nil):
		return differ("verdict")
	case err == nil && (string(gotData) != "head"+string(wantData) || !bytes.Equal(got.Data, wantData) || !same(&got, &want)):
		return differ("taps")
	case wantTaps == nil && (readErr != nil || !same(&read, &want)):
		return differ("taps that are read alone")
	}
	return nil
}

// TestRandomTaps compares the taps of random messages with those of the same messages decoded.
func TestRandomTaps(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}

	t.Logf("to repeat: go test -run %s -args -seed=%d", t.Name(), seed)

	for k := range uint64(messages() / 1000) {
		random := rand.New(rand.NewPCG(seed, k))
		types, resolver := randomSchema(t, random)
		opts := jsonOptions()[random.IntN(8)]
		opts.Resolver = resolver
		opts = randomTaps(random, types[0], opts)

		plan, err := Compile(types[0], opts)
		if err != nil {
			t.Fatal(err)
		}

		for range 200 {
			w := newWireMaker(random, types)
			wire := w.message(types[0], 3)

			if random.IntN(8) == 0 {
				wire = w.mutate(wire)
			}

			if err := sameTaps(plan, wire); err != nil {
				t.Fatalf("%+v\n%v", opts.Taps, err)
			}
		}
	}
}
