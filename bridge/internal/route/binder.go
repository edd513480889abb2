package route

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// errUnreadable is a message that the protobuf library panics on.
var errUnreadable = errors.New("unreadable message")

// Binder fills a route's request message from requests.
type Binder struct {
	// what the message is
	input    protoreflect.MessageDescriptor
	resolver Resolver

	// what the route sets itself
	set     []constant
	params  []source
	headers []source
	resume  *Resume

	// what clients may set: never what is closed
	closed      *fieldSet
	query, body openness
	// queryNames are the fields that the route lists for the query, for messages; ""
	// where it lists none.
	queryNames string
	// reserved are names in a query that are taken out before fields are looked at;
	// ignored begin the names that are left out where the query may not set them.
	reserved, ignored []string

	// what goes beside the message, sorted by name
	metadata []forwarded
}

// source is a path variable or a header, and where its text goes.
type source struct {
	name  string
	place place
}

// Bound is what a request is to the upstream. It belongs to the caller, but for
// Wire's and Identity's callers sharing them, which must not write to them.
type Bound struct {
	// Wire is the request message in deterministic protobuf encoding: equal
	// messages have equal bytes.
	Wire []byte
	// Metadata are the forwarded headers by lower-case name, nil for none. Values
	// of names that end in -bin are decoded.
	Metadata map[string][]string
	// Identity has, unambiguously, the forwarded headers that keep two clients
	// apart: equal bytes mean equal headers. It is empty without any.
	Identity []byte
}

// Bind makes the request message. params are those of the Match and body is the
// whole body, empty for none; Bind keeps neither. Errors are *Error.
func (b *Binder) Bind(r *http.Request, params map[string]string, body []byte) (Bound, error) {
	m := dynamicpb.NewMessage(b.input)
	given := &ledger{}

	// Also without a body. A page of another site may send a POST of a few content
	// types only, without asking first (Fetch, section 2.2.2), and JSON is none of them.
	if r.Method == http.MethodPost {
		if err := checkContentType(r.Header); err != nil {
			return Bound{}, err
		}
	}

	if err := b.bindBody(m, r.Header, body, given); err != nil {
		return Bound{}, err
	}

	if err := b.bindQuery(m, r.URL.RawQuery, given); err != nil {
		return Bound{}, err
	}

	if err := b.bindHeaders(m, r); err != nil {
		return Bound{}, err
	}

	if err := b.bindParams(m, params); err != nil {
		return Bound{}, err
	}

	for _, c := range b.set {
		c.put(m)
	}

	wire, err := marshal(proto.MarshalOptions{}, m)
	if err != nil {
		return Bound{}, badRequest("the request is no %s: %s", b.input.FullName(), protoText(err))
	}

	metadata, identity, err := b.bindMetadata(r.Header)
	if err != nil {
		return Bound{}, err
	}

	return Bound{Wire: wire, Metadata: metadata, Identity: identity}, nil
}

func (b *Binder) bindParams(m protoreflect.Message, params map[string]string) error {
	for _, s := range b.params {
		text, ok := params[s.name]
		if !ok {
			continue
		}

		v, err := parseText(s.place.field(), text)
		if err != nil {
			return badField(s.name, "in the path: %v", err)
		}

		s.place.put(m, v)
	}

	return nil
}

func (b *Binder) bindHeaders(m protoreflect.Message, r *http.Request) error {
	for _, s := range b.headers {
		lines := r.Header[s.name]
		if s.name == "Host" && r.Host != "" {
			// net/http keeps it apart from the other headers.
			lines = []string{r.Host}
		}

		if len(lines) == 0 {
			continue
		}

		name := strings.ToLower(s.name)
		if len(lines) > 1 && !s.place.repeated() {
			return badField(name, "the header is given twice")
		}

		for _, text := range lines {
			if err := b.bindHeader(m, s.place, text); err != nil {
				return badField(name, "in the header: %v", err)
			}
		}
	}

	return nil
}

// bindHeader sets what one line of a header says.
func (b *Binder) bindHeader(m protoreflect.Message, p place, text string) error {
	if isJSON(p.field(), text) {
		value, err := b.readJSON(p, text, &spot{open: openness{all: true}}, fromHeader)
		if err == nil {
			merge(p.around(m), value)
		}

		return err
	}

	v, err := parseText(p.field(), text)
	if err == nil {
		p.put(m, v)
	}

	return err
}

// unmarshal is proto's Unmarshal of a message that may be partial, made safe for
// dynamic messages.
func unmarshal(wire []byte, m proto.Message) (err error) {
	defer func() {
		if recover() != nil {
			err = errUnreadable
		}
	}()

	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(wire, m); err != nil {
		return fmt.Errorf("unmarshaling: %w", err)
	}

	return nil
}

// marshal is proto's deterministic Marshal, made safe for dynamic messages.
func marshal(opts proto.MarshalOptions, m proto.Message) (wire []byte, err error) {
	defer func() {
		if recover() != nil {
			err = errUnreadable
		}
	}()

	opts.Deterministic = true

	if wire, err = opts.Marshal(m); err != nil {
		return nil, fmt.Errorf("marshaling: %w", err)
	}

	return wire, nil
}
