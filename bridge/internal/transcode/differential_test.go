package transcode

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// pass prints a message by one of the two passes alone, without asking the library.
func pass(p *Plan, wire []byte, orderly bool) ([]byte, failure) {
	var r run

	r.start(p, 0, wire)
	r.orderly = orderly
	out := r.whole(nil, wire, p.root)
	r.release()

	if (out == nil) != (r.failure != noFailure) {
		panic("a pass must either print or say why not")
	}

	return out, r.failure
}

// sameVerdict holds a plan, and each of its passes, to dynamicpb and protojson on any bytes: what is printed is the
// same, and what is refused is refused by both. The orderly pass's own errors are held to it too, although the library
// is asked before they count.
func sameVerdict(tb testing.TB, plan *Plan, md protoreflect.MessageDescriptor, wire []byte, opts Options) {
	tb.Helper()

	want, wantErr := reference(md, wire, opts)
	before := bytes.Clone(wire)

	if got, f := pass(plan, wire, false); f == noFailure && (wantErr != nil || !bytes.Equal(got, want)) {
		tb.Fatalf("%s, %s, %x, first pass:\n got %s\nwant %s, %v", md.FullName(), opts, wire, got, want, wantErr)
	}

	got, f := pass(plan, wire, true)

	switch {
	case f == noFailure && (wantErr != nil || !bytes.Equal(got, want)):
		tb.Fatalf("%s, %s, %x, orderly pass:\n got %s\nwant %s, %v", md.FullName(), opts, wire, got, want, wantErr)
	case f == anyTooDeep || f == tooSplit || f == tooDeep && wantErr == nil && strings.Contains(string(want), `"@type"`):
		return // limits that protojson has not
	case f == disorder:
		tb.Fatalf("%s, %s, %x: the orderly pass met disorder", md.FullName(), opts, wire)
	case f.isError() && wantErr == nil:
		tb.Fatalf("%s, %s, %x: the orderly pass finds %s, and the library prints %s", md.FullName(), opts, wire, f.reason(), want)
	}

	got, err := plan.AppendJSON([]byte("head"), wire)

	switch _, ok := errors.AsType[*Error](err); {
	case (err == nil) != (wantErr == nil):
		tb.Fatalf("%s, %s, %x: %v, the reference: %v", md.FullName(), opts, wire, err, wantErr)
	case err != nil && (!ok || string(got) != "head"):
		tb.Fatalf("%s, %s, %x: %v, and dst is %q", md.FullName(), opts, wire, err, got)
	case err == nil && string(got) != "head"+string(want):
		tb.Fatalf("%s, %s, %x:\n got %s\nwant %s", md.FullName(), opts, wire, got, want)
	}

	if !bytes.Equal(wire, before) {
		tb.Fatalf("%s, %x was written to", md.FullName(), before)
	}
}
