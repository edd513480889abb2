package serve

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/failure"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
)

// authenticate sets who the request comes from. It returns an answer if the request gets no other one, and
// an error if refuse is to answer.
func authenticate(x *exchange) (answer, error) {
	who, err := x.endpoint.Guard.Admit(x.r, x.params)
	if who != nil && who.Ambient && auth.IsForeign(x.r) && !x.endpoint.CORS.TrustsCookies(x.r) {
		err = &auth.RefusedError{Reason: auth.ReasonOrigin, Place: who.Place}
	}
	if err == nil {
		x.who = who
		return nil, nil //nolint:nilnil // the request is to be served
	}
	if errors.Is(err, auth.ErrUnavailable) {
		x.endpoint.Counts.Unverified.Add(1)
		if wantsStream(x.r) && !x.isUnary() {
			return x.askToReconnect(sse.Retry{Reason: reason.LeaveAuth})
		}
		return nil, status.Error(codes.Unavailable, "come back later: "+string(reason.LeaveAuth))
	}
	refusal := new(auth.RefusedError)
	if errors.As(err, &refusal) {
		x.endpoint.Counts.Refused(refusal.Reason)
		if refusal.Recently && isEventSource(x.r) && refusal.Place != (auth.Place{}) {
			return answerExpired(x)
		}
	}
	return nil, err
}

// isEventSource reports whether a request may come from an EventSource, which cannot read a status.
func isEventSource(r *http.Request) bool {
	return r.Method == http.MethodGet && wantsStream(r) && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// errExpired is what a stream says whose client has to log in again.
func errExpired() failure.Failure {
	return failure.Failure{Code: codes.Unauthenticated, Message: "the credentials have expired"}
}

// answerExpired tells an EventSource in band that its credentials have expired: a 401 would end it without
// telling the page why. When it reconnects with the final id, it gets the 204 that makes it stop.
func answerExpired(x *exchange) (answer, error) {
	if x.id.Final {
		x.w.WriteHeader(http.StatusNoContent)
		return answered, nil
	}
	x.record.Kept().AskedToLeave(reason.LeaveExpired)
	return x.answerBlock(reason.LeaveExpired, func(dst []byte) []byte {
		return sse.AppendError(dst, []byte(sse.FinalID(x.id.Text)), errExpired().Data(nil))
	})
}

// refuseCredentials answers a request that is not admitted. The client does not learn why; the log does.
func refuseCredentials(x *exchange, refusal *auth.RefusedError) {
	code, message := codes.Unauthenticated, "the request needs valid credentials"
	if refusal.Denied() {
		code, message = codes.PermissionDenied, "the credentials are not sufficient for this route"
	}
	if challenge := refusal.Challenge(); challenge != "" {
		x.w.Header().Set("WWW-Authenticate", challenge)
	}
	x.record.Refused(nil, failure.Failure{Code: code, Message: refusal.Error()})
	shown := failure.Failure{Code: code, Message: message}
	writeJSON(x.w, shown.HTTPStatus(), shown.Body())
}

// clientOf returns what binding has to know of a client.
func clientOf(who *auth.Identity) route.Client {
	if who == nil {
		return route.Client{}
	}
	return route.Client{Claims: who.Claims.Lookup, Token: who.Token}
}

const (
	// expirySpread is the longest time over which clients whose credentials expire together are asked to
	// reconnect: those who logged in at nine must not all return in one second.
	expirySpread = 30 * time.Second
	// urlNotice is how long before its end a page is told that the credentials in its URL expire, to open
	// a stream with another URL.
	urlNotice = 30 * time.Second
	// longestLife bounds a stream whose credentials expire in the far future, within the range of durations.
	longestLife = 365 * 24 * time.Hour
)

// lifetime returns how long a stream may last by the client's credentials; 0 is without limit.
func lifetime(who *auth.Identity) time.Duration {
	if who == nil || who.Expires.IsZero() {
		return 0
	}
	left := min(max(time.Until(who.Expires), time.Millisecond), longestLife)
	if who.Place.Query != "" {
		return left - min(urlNotice, left/2)
	}
	return left - rand.N(min(expirySpread, left/10)+1)
}
