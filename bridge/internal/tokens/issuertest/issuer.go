// Package issuertest is a real issuer of tokens for tests: an HTTP server with its metadata and key set,
// whose keys can be changed.
package issuertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Audience is what the tokens are for.
const Audience = "events"

// Issuer is an issuer of tokens. Its methods are safe for concurrent use.
type Issuer struct {
	tb     testing.TB
	server *httptest.Server
	reads  atomic.Int64 // of the key set

	mu      sync.Mutex
	away    bool
	keys    map[string]*ecdsa.PrivateKey // those in the set
	current string                       // the id of the one that signs
	signer  *ecdsa.PrivateKey
	made    int
}

// New returns an issuer with one key. It ends with the test.
func New(tb testing.TB) *Issuer {
	tb.Helper()
	i := &Issuer{tb: tb, keys: map[string]*ecdsa.PrivateKey{}}
	i.server = httptest.NewServer(http.HandlerFunc(i.serve))
	tb.Cleanup(i.server.Close)
	i.Rotate()
	return i
}

// Name returns the claim iss of the tokens, which is the issuer's URL.
func (i *Issuer) Name() string { return i.server.URL }

// KeysURL returns the URL of the key set.
func (i *Issuer) KeysURL() string { return i.server.URL + "/keys" }

// Reads returns how often the key set was asked for.
func (i *Issuer) Reads() int64 { return i.reads.Load() }

// SetAway makes the issuer answer 503, or serve again.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Rotate adds a key to the set, by which tokens are signed from now on.
func (i *Issuer) Rotate() {
	key := NewKey(i.tb)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.current, i.signer = "key-"+strconv.Itoa(i.made), key
	i.keys[i.current] = key
}

// RemoveOldKeys removes all keys from the set but the newest.
func (i *Issuer) RemoveOldKeys() {
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.DeleteFunc(i.keys, func(id string, _ *ecdsa.PrivateKey) bool { return id != i.current })
}

// NewKey returns a key.
func NewKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// Claims returns the claims of a valid token of a user. Further ones, or other values, follow in pairs; a
// nil value removes a claim.
func (i *Issuer) Claims(sub string, more ...any) jwt.MapClaims {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": i.Name(), "aud": Audience, "sub": sub, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text(),
	}
	for n := 0; n < len(more); n += 2 {
		name, _ := more[n].(string)
		if claims[name] = more[n+1]; more[n+1] == nil {
			delete(claims, name)
		}
	}
	return claims
}

// Token returns a valid token with the given claims, see Claims.
func (i *Issuer) Token(sub string, more ...any) string {
	id, key := i.newest()
	return Sign(i.tb, jwt.SigningMethodES256, key, map[string]any{"kid": id}, i.Claims(sub, more...))
}

// Nameless returns a valid token that does not name its key.
func (i *Issuer) Nameless(sub string) string {
	_, key := i.newest()
	return Sign(i.tb, jwt.SigningMethodES256, key, nil, i.Claims(sub))
}

// Typed returns a valid token with a typ.
func (i *Issuer) Typed(typ, sub string) string {
	id, key := i.newest()
	return Sign(i.tb, jwt.SigningMethodES256, key, map[string]any{"kid": id, "typ": typ}, i.Claims(sub))
}

func (i *Issuer) newest() (id string, key *ecdsa.PrivateKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.current, i.signer
}

// Sign returns a token. header replaces fields of the token's header; a nil value removes one.
func Sign(tb testing.TB, method jwt.SigningMethod, key any, header map[string]any, claims jwt.Claims) string {
	tb.Helper()
	token := jwt.NewWithClaims(method, claims)
	for name, value := range header {
		if token.Header[name] = value; value == nil {
			delete(token.Header, name)
		}
	}
	text, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/keys" {
		i.reads.Add(1)
	}
	if i.away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]string{"issuer": i.Name(), "jwks_uri": i.KeysURL()}
	case "/keys":
		var set jwkset.JWKSMarshal
		for id, key := range i.keys {
			jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id, USE: jwkset.UseSig}})
			if err != nil {
				i.tb.Error(err)
				return
			}
			set.Keys = append(set.Keys, jwk.Marshal())
		}
		answer = set
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		i.tb.Error(err)
	}
}
