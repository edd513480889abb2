package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"
)

// Own is a Provider of a program's own, such as one that knows its sessions. It returns nil claims for a
// request without credentials.
type Own func(r *http.Request) (claims map[string]any, err error)

// Authenticate implements Provider. All claims but the volatile ones distinguish clients.
func (own Own) Authenticate(r *http.Request) (*Identity, error) {
	found, err := own(r)
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil, ErrUnavailable
	case err != nil:
		return nil, &RefusedError{Reason: ReasonInvalid, Cause: err}
	case found == nil:
		return nil, nil //nolint:nilnil // anonymous
	}
	claims, err := decoded(found)
	if err != nil {
		return nil, &RefusedError{Reason: ReasonInvalid, Cause: err}
	}
	who := &Identity{Claims: claims, Key: KeyOf("", claims, nil), Expires: expiry(claims)}
	// Without a header of its own, a browser has been asked for nothing that a page would have to know.
	who.Ambient = len(r.Header["Authorization"]) == 0
	if !who.Expires.IsZero() && !time.Now().Before(who.Expires) {
		return nil, &RefusedError{Reason: ReasonExpired}
	}
	return who, nil
}

// decoded returns claims as if they had been read from JSON.
func decoded(found map[string]any) (Claims, error) {
	text, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("the claims have no JSON form: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var claims Claims
	if err := decoder.Decode(&claims); err != nil {
		return nil, fmt.Errorf("the claims have no JSON form: %w", err)
	}
	return claims, nil
}

// expiry returns the time of the claim exp, in seconds since 1970 (RFC 7519, section 4.1.4); zero if there
// is none.
func expiry(claims Claims) time.Time {
	number, _ := claims["exp"].(json.Number)
	seconds, err := number.Float64()
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1<<40 {
		return time.Time{}
	}
	return time.UnixMilli(int64(seconds * 1000))
}
