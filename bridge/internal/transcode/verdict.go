package transcode

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// libraryLimit is the largest message, in bytes, that goes to the library to confirm an error. Decoding
// may take hundreds of bytes for one wire byte, too much for a larger message that is invalid anyway.
const libraryLimit = 256 << 10

// reason returns the failure as a metric's label.
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

// isError reports whether a failure is an error of the message, not a feature that this package lacks.
func (f failure) isError() bool {
	switch f {
	case malformed, badText, incomplete, inexpressive, unresolved, tooDeep, anyTooDeep, tooLarge, tooSplit:
		return true
	default:
		return false
	}
}

// leavesTaps reports whether the id and the name may be readable after a failure.
func (f failure) leavesTaps() bool {
	switch f {
	case malformed, badText, incomplete:
		return false
	default:
		return true
	}
}

// usesLibrary reports whether the library decides about a message that a run could not print. It
// decides about features that this package lacks, and about errors, so that no message is refused that
// protojson would print. It does not decide about this package's own limits.
func (p *Plan) usesLibrary(r *run, wire []byte, projected bool) bool {
	f := r.failure

	switch {
	case f == tooSplit: // the library merges in linear time
		return len(wire) <= libraryLimit
	case !f.isError(), projected: // the error may be in a part that is not printed
		if p.tooHeavy(wire) {
			r.failure = tooSplit
			return false
		}
		return true
	case f == tooLarge, f == tooDeep, f == anyTooDeep:
		return false
	default:
		return len(wire) <= libraryLimit
	}
}

// verdict returns the error for the failure of an orderly pass.
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

// knowsExtension reports whether the resolver knows the field as an extension, or fails.
func (p *Plan) knowsExtension(message protoreflect.FullName, number protoreflect.FieldNumber) bool {
	xt, err := p.types.FindExtensionByNumber(message, number)
	return xt != nil || !isNotFound(err)
}
