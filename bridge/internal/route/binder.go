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

// errUnreadable replaces a panic of the protobuf library on a message's content.
var errUnreadable = errors.New("unreadable message")

// Binder fills the request messages of one route.
type Binder struct {
	// The message type.
	input    protoreflect.MessageDescriptor
	resolver Resolver

	// Fields that the route sets itself.
	set     []constant
	params  []source
	claims  []source
	headers []source
	resume  *Resume

	// Fields that clients may set, minus the closed ones.
	closed      *fieldSet
	query, body openness
	// queryNames lists the route's query fields for error messages; "" if the route lists none.
	queryNames string
	// reserved names are skipped in a query before it is matched with fields. Names with a prefix in
	// ignored are skipped only where the query may not set them.
	reserved, ignored []string

	// Headers forwarded as gRPC metadata, sorted by name.
	metadata []forwarded
}

// source is a path variable, a claim or a header, and the place that it sets.
type source struct {
	name  string
	place place
}

// Bound is the upstream's view of a request. The caller owns it and may share Wire and Identity, but
// must not write to them.
type Bound struct {
	// Wire is the request message in deterministic protobuf encoding: equal messages have equal bytes.
	Wire []byte
	// Metadata maps lower-case names to forwarded headers; nil without any. Values of names ending in
	// -bin are decoded.
	Metadata map[string][]string
	// Identity encodes the forwarded headers that separate the topics of two clients. Equal bytes mean
	// equal headers. It is empty without any.
	Identity []byte
}

// Bind builds the request message. params are the Params of the Match, body is the complete body, empty
// if there is none, and who is the client. Bind retains none of them. Errors are *Error.
func (b *Binder) Bind(r *http.Request, params map[string]string, body []byte, who Client) (Bound, error) {
	m := dynamicpb.NewMessage(b.input)
	given := &ledger{}

	// A POST needs the content type even without a body. Browsers let a cross-site page send a POST of
	// a few content types without a preflight (Fetch, section 2.2.2); JSON is not one of them.
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

	if err := b.bindClaims(m, who); err != nil {
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

	metadata, identity, err := b.bindMetadata(r.Header, who.Token)
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
			// net/http keeps Host apart from the other headers.
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

// bindHeader sets a field from one header line.
func (b *Binder) bindHeader(m protoreflect.Message, p place, text string) error {
	if isJSON(p.field(), text) {
		value, err := b.readJSON(p, text, &spot{open: openness{all: true}}, fromHeader)
		if err == nil {
			merge(p.parent(m), value)
		}
		return err
	}

	v, err := parseText(p.field(), text)
	if err == nil {
		p.put(m, v)
	}
	return err
}

// unmarshal is proto.Unmarshal for partial messages. It recovers from panics on dynamic messages.
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

// marshal is a deterministic proto.Marshal. It recovers from panics on dynamic messages.
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
