package tokens

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/tokens/issuertest"
)

// FuzzToken finds a token that is accepted although nobody has signed it. The issuer's only valid token
// is not among the inputs.
func FuzzToken(f *testing.F) {
	secret := []byte(strings.Repeat("s", 32))
	v := New([]Issuer{{
		Name: "me", Secret: secret, Algorithms: []string{"HS256"}, Audience: []string{"events"}, Leeway: 30 * time.Second, From: []auth.Place{{}},
	}}, slog.New(slog.DiscardHandler))
	claims := jwt.MapClaims{"iss": "me", "aud": "events", "exp": 4102444800}
	f.Add(issuertest.Sign(f, jwt.SigningMethodHS256, []byte(strings.Repeat("t", 32)), nil, claims))
	f.Add(issuertest.Sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, claims))
	f.Add(issuertest.Sign(f, jwt.SigningMethodHS256, secret, nil, jwt.MapClaims{"iss": "you", "aud": "events", "exp": 4102444800}))
	f.Add(issuertest.Sign(f, jwt.SigningMethodHS256, secret, map[string]any{"crit": []string{"b64"}, "b64": false}, claims))
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		who, err := v.Authenticate(with(auth.Place{}, token))
		if who != nil || err == nil && token != "" && strings.TrimLeft(token, " ") != "" {
			t.Errorf("%q is accepted as %+v, %v", token, who, err)
		}
	})
}

// FuzzKeySet reads key sets of an issuer that lies.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a","use":"sig"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"AAAA"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Add([]byte(`{"keys":[]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		keys, err := parse(set)
		if err == nil && len(keys) == 0 {
			t.Error("no keys, and no error")
		}
		for _, key := range keys {
			if _, symmetric := public(key).([]byte); symmetric || public(key) == nil {
				t.Errorf("a symmetric key is in the set: %s", set)
			}
		}
	})
}
