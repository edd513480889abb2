package transcode

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// askLimit is the largest message, in bytes, that the library is asked about when the orderly pass has found an error.
// It decodes into hundreds of bytes for one, and larger messages that are wrong are not worth that.
const askLimit = 256 << 10

// reason is the failure as a metric's label has it.
func (f failure) reason() string {
	switch f {
	case disorder:
		return "disorder"
	case malformed:
		return "malformed"
	case badText:
		return "utf8"
	case incomplete:
		return "required"
	case inexpressive:
		return "unrepresentable"
	case unresolved:
		return "unresolvable"
	case tooDeep, anyTooDeep:
		return "too_deep"
	case tooLarge:
		return "too_large"
	case tooSplit:
		return "too_split"
	case extension:
		return "extension"
	case foreignType:
		return "foreign_type"
	case oddEntry:
		return "odd_entry"
	default:
		return "none"
	}
}

// isError reports whether a failure is about the message, and not about what this package does not do.
func (f failure) isError() bool {
	switch f {
	case malformed, badText, incomplete, inexpressive, unresolved, tooDeep, anyTooDeep, tooLarge, tooSplit:
		return true
	default:
		return false
	}
}

// isLimit reports whether a failure leaves open what the message says.
func (f failure) isLimit() bool {
	switch f {
	case malformed, badText, incomplete:
		return false
	default:
		return true
	}
}

// asks reports whether the library has the last word on a message that a run could not print. It has where this package does not go,
// and on errors: nothing is refused that protojson would print. On limits, which are this package's own, it has not.
func (p *Plan) asks(r *run, wire []byte, projected bool) bool {
	f := r.failure

	switch {
	case f == tooSplit: // which the library merges in the time of its size, where it takes the message at all
		return len(wire) <= askLimit
	case !f.isError(), projected: // what is not shown may be wrong, too
		if p.tooHeavy(wire) {
			r.failure = tooSplit

			return false
		}

		return true
	case f == tooLarge, f == tooDeep, f == anyTooDeep:
		return false
	default:
		return len(wire) <= askLimit
	}
}

// verdict is the error for what an orderly pass has found.
func (r *run) verdict() *Error {
	p := r.plan

	switch r.failure {
	case tooDeep:
		return p.tooDeep()
	case anyTooDeep:
		return p.failure(KindTooDeep, fmt.Sprintf("google.protobuf.Any nested more than %d deep", maxAnyNesting))
	case tooSplit:
		return p.failure(KindTooLarge, "too many parts")
	case tooLarge:
		return p.tooLarge()
	case inexpressive:
		return p.failure(KindUnrepresentable, "a "+string(r.culprit)+" has no JSON form")
	case unresolved:
		return p.unresolvable(string(r.badURL))
	case incomplete:
		return p.failure(KindUndecodable, "a required field is missing")
	default:
		return p.failure(KindUndecodable, "the bytes are not a message of this type")
	}
}

func (p *Plan) unresolvable(url string) *Error {
	return p.failure(KindUnresolvable, "the type of a google.protobuf.Any"+typeText(url)+" is not known")
}

// knowsExtension reports whether a field is an extension that the resolver knows, or fails on.
func (p *Plan) knowsExtension(message protoreflect.FullName, number protoreflect.FieldNumber) bool {
	xt, err := p.types.FindExtensionByNumber(message, number)

	return xt != nil || !isNotFound(err)
}
