package auth

import "errors"

// Reason is why a request is refused, for operators. The client is not told.
type Reason string

// The reasons of refusals.
const (
	ReasonMissing Reason = "missing" // the request has no credential
	ReasonInvalid Reason = "invalid" // the credential proves nothing
	ReasonExpired Reason = "expired" // the credential has proved something in the past
	ReasonDenied  Reason = "denied"  // the route does not admit the client
	ReasonOrigin  Reason = "origin"  // a page of another origin uses the client's cookie
)

// Reasons returns all reasons of refusals.
func Reasons() []Reason {
	return []Reason{ReasonMissing, ReasonInvalid, ReasonExpired, ReasonDenied, ReasonOrigin}
}

// RefusedError says that a request is not admitted.
type RefusedError struct {
	Reason Reason
	// Recently is set, with ReasonExpired, if the credential expired so short a time ago that the client
	// probably does not know yet.
	Recently bool
	Place    Place // of the credential
	// Cause is for the log; it has no part of the credential. It may be nil.
	Cause error
}

// Error returns the reason, and the cause.
func (e *RefusedError) Error() string {
	if e.Cause == nil {
		return "the request is not admitted: " + string(e.Reason)
	}
	return "the request is not admitted: " + string(e.Reason) + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Cause }

// Denied reports whether the client is known, and not admitted.
func (e *RefusedError) Denied() bool { return e.Reason == ReasonDenied || e.Reason == ReasonOrigin }

// Challenge returns the value of WWW-Authenticate (RFC 6750, section 3); empty where no other credential
// would help.
func (e *RefusedError) Challenge() string {
	switch e.Reason {
	case ReasonInvalid, ReasonExpired:
		return `Bearer error="invalid_token"`
	case ReasonDenied:
		return `Bearer error="insufficient_scope"`
	case ReasonOrigin:
		return ""
	case ReasonMissing:
	}
	return "Bearer"
}

// ErrUnavailable says that a credential cannot be verified at the moment, which is not the client's
// fault and passes.
var ErrUnavailable = errors.New("credentials cannot be verified at the moment")
