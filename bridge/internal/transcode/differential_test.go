package transcode

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// pass prints a message with one of the two passes alone, without the library.
func pass(p *Plan, wire []byte, orderly bool) ([]byte, failure) {
	var r run

	r.start(p, 0, wire)
	r.orderly = orderly
	out := r.whole(nil, wire, p.root)
	r.release()

	if (out == nil) != (r.failure != noFailure) {
		panic("a pass returned neither JSON nor a failure")
	}
	return out, r.failure
}

// sameVerdict compares a plan, and each of its passes, with dynamicpb and protojson on arbitrary bytes:
// both print the same JSON, and refuse the same messages. It compares the orderly pass's own errors
// too, although the plan lets the library confirm them.
func sameVerdict(plan *Plan, md protoreflect.MessageDescriptor, wire []byte, opts Options) error {
	want, wantErr := reference(md, wire, opts)
	given := bytes.Clone(wire)

	differs := func(by string, got []byte, why string) error {
		return fmt.Errorf("%s, %s, %x, %s:\n got %s, %s\nwant %s, %w", md.FullName(), opts, given, by, got, why, want, wantErr)
	}

	if got, f := pass(plan, wire, false); f == noFailure && (wantErr != nil || !bytes.Equal(got, want)) {
		return differs("first pass", got, "")
	}

	got, f := pass(plan, wire, true)

	switch {
	case f == noFailure && (wantErr != nil || !bytes.Equal(got, want)), f.isError() && !f.isBound() && wantErr == nil, f == disorder:
		return differs("orderly pass", got, f.reason())
	case f.isBound():
		return nil // limits that protojson lacks
	}

	got, err := plan.AppendJSON([]byte("head"), wire)

	switch _, ok := errors.AsType[*Error](err); {
	case (err == nil) != (wantErr == nil), err != nil && (!ok || string(got) != "head"), err == nil && string(got) != "head"+string(want):
		return differs("plan", got, fmt.Sprint(err))
	case !bytes.Equal(wire, given):
		return differs("the message was written to", wire, "")
	}
	return nil
}

// isBound reports whether a failure is a limit of this package.
func (f failure) isBound() bool {
	return f == tooDeep || f == anyTooDeep || f == tooSplit || f == tooLarge
}

var (
	seedFlag     = flag.Uint64("seed", 0, "the seed of the random tests; 0 chooses one")
	messagesFlag = flag.Int("messages", 100_000, "how many random messages are compared with protojson; a fifth of them with the race detector")
)

// messages is how many random messages are compared.
func messages() int {
	if raceEnabled {
		return *messagesFlag / 5
	}
	return *messagesFlag
}

// messagesPerSchema is the number of messages for each random schema.
const messagesPerSchema = 250

// TestRandomMessages compares random messages of random schemas with protojson: all kinds of fields in
// all orders, and meaningless bytes.
func TestRandomMessages(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}

	t.Logf("%d messages; to repeat: go test -run %s -args -seed=%d", messages(), t.Name(), seed)

	var (
		next atomic.Uint64
		wg   sync.WaitGroup
	)

	for range 2 {
		wg.Go(func() {
			for {
				k := next.Add(1)
				if k > uint64(messages()/messagesPerSchema) || t.Failed() {
					return
				}

				compareSchema(t, rand.New(rand.NewPCG(seed, k)))
			}
		})
	}

	wg.Wait()

	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// compareSchema creates a schema and compares messages of its first type.
func compareSchema(t *testing.T, random *rand.Rand) {
	types, resolver := randomSchema(t, random)
	known := types

	for _, name := range wellKnownNames {
		mt, err := resolver.FindMessageByName(protoreflect.FullName("google.protobuf." + name))
		if err != nil {
			t.Error(err)
			return
		}

		known = append(known, mt.Descriptor())
	}

	opts := jsonOptions()[random.IntN(8)]
	opts.Resolver = resolver

	plan, err := Compile(types[0], opts)
	if err != nil {
		t.Error(err)
		return
	}

	for range messagesPerSchema {
		w := newWireMaker(random, known)
		wire := w.message(types[0], 3)

		if random.IntN(4) == 0 {
			wire = w.mutate(wire)
		}

		if err := sameVerdict(plan, types[0], wire, opts); err != nil {
			t.Error(err)
			return
		}
	}
}
