package tokens

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/tokens/issuertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configured returns an issuer with the defaults of the configuration.
func configured(name string) Issuer {
	return Issuer{
		Name: name, Audience: []string{issuertest.Audience}, Algorithms: []string{"ES256", "RS256"}, Leeway: 30 * time.Second,
		Every: 15 * time.Minute, Unknown: 30 * time.Second, From: []auth.Place{{}},
	}
}

// started returns a verifier of issuers, which ends with the test.
func started(t *testing.T, issuers ...Issuer) *Verifier {
	t.Helper()
	v := New(issuers, slog.New(slog.DiscardHandler))
	v.Start()
	t.Cleanup(v.Close)
	return v
}

// with returns a request with a token in a place.
func with(place auth.Place, token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	switch {
	case place.Cookie != "":
		r.AddCookie(&http.Cookie{Name: place.Cookie, Value: token})
	case place.Query != "":
		r.URL.RawQuery = place.Query + "=" + token
	default:
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// reasonOf returns why a request is refused, "" if it is not.
func reasonOf(t *testing.T, v *Verifier, r *http.Request) auth.Reason {
	t.Helper()
	who, err := v.Authenticate(r)
	refusal := new(auth.RefusedError)
	switch {
	case errors.As(err, &refusal):
		return refusal.Reason
	case err != nil:
		t.Fatal(err)
	case who == nil:
		return auth.ReasonMissing
	}
	return ""
}

// TestTokens has a token for each rule of RFC 7519 and RFC 8725 that the bridge holds.
func TestTokens(t *testing.T) {
	issuer, other := issuertest.New(t), issuertest.New(t)
	v := started(t, configured(issuer.Name()), configured(other.Name()))
	sign := func(header map[string]any, more ...any) string {
		return issuertest.Sign(t, jwt.SigningMethodES256, issuertest.NewKey(t), header, issuer.Claims("ada", more...))
	}
	now := time.Now()
	for _, c := range []struct {
		name, token string
		want        auth.Reason
	}{
		{"valid", issuer.Token("ada"), ""},
		{"of the other issuer", other.Token("ada"), ""},
		{"several audiences", issuer.Token("ada", "aud", []string{"x", issuertest.Audience}), ""},
		{"expired within the leeway", issuer.Token("ada", "exp", now.Add(-20*time.Second).Unix()), ""},
		{"a clock that is ahead", issuer.Token("ada", "iat", now.Add(20*time.Second).Unix(), "nbf", now.Add(20*time.Second).Unix()), ""},
		{"expired", issuer.Token("ada", "exp", now.Add(-31*time.Second).Unix()), auth.ReasonExpired},
		{"expired, and for another service", issuer.Token("ada", "exp", now.Add(-time.Hour).Unix(), "aud", "x"), auth.ReasonInvalid},
		{"never expires", issuer.Token("ada", "exp", nil), auth.ReasonInvalid},
		{"not yet", issuer.Token("ada", "nbf", now.Add(time.Minute).Unix()), auth.ReasonInvalid},
		{"issued in the future", issuer.Token("ada", "iat", now.Add(time.Minute).Unix()), auth.ReasonInvalid},
		{"another audience", issuer.Token("ada", "aud", "x"), auth.ReasonInvalid},
		{"no audience", issuer.Token("ada", "aud", nil), auth.ReasonInvalid},
		{"an unknown issuer", issuer.Token("ada", "iss", "https://id.example.com"), auth.ReasonInvalid},
		{"vouched for by the other issuer", issuer.Token("ada", "iss", other.Name()), auth.ReasonInvalid},
		{"no issuer", issuer.Token("ada", "iss", nil), auth.ReasonInvalid},
		{"an unknown key", sign(map[string]any{"kid": "nobody's"}), auth.ReasonInvalid},
		{"a wrong signature by a known key's name", sign(map[string]any{"kid": "key-1"}), auth.ReasonInvalid},
		{"a wrong signature without a key's name", sign(nil), auth.ReasonInvalid},
		{"a key of its own", sign(map[string]any{"jwk": map[string]string{"kty": "EC"}, "jku": other.KeysURL()}), auth.ReasonInvalid},
		{
			"unsigned", issuertest.Sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, issuer.Claims("ada")),
			auth.ReasonInvalid,
		},
		{
			"HMAC", issuertest.Sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("k", 32)), map[string]any{"kid": "key-1"}, issuer.Claims("ada")),
			auth.ReasonInvalid,
		},
		{"a critical extension", sign(map[string]any{"kid": "key-1", "crit": []string{"exp"}}), auth.ReasonInvalid},
		{"too long", issuer.Token(strings.Repeat("a", maxTokenBytes)), auth.ReasonInvalid},
		{"no token", "abc", auth.ReasonInvalid},
		{"cut", strings.TrimSuffix(issuer.Token("ada"), "A")[:200], auth.ReasonInvalid},
	} {
		if got := reasonOf(t, v, with(auth.Place{}, c.token)); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
}

// TestTokensWithoutAKeysName covers issuers that do not name their keys.
func TestTokensWithoutAKeysName(t *testing.T) {
	issuer := issuertest.New(t)
	v := started(t, configured(issuer.Name()))
	nameless := func() string { return issuer.Nameless("ada") }
	if got := reasonOf(t, v, with(auth.Place{}, nameless())); got != "" {
		t.Errorf("the only key: refused as %q", got)
	}
	issuer.Rotate()
	if got := reasonOf(t, v, with(auth.Place{}, nameless())); got != "" {
		t.Errorf("a new key: refused as %q", got)
	}
}

// TestType covers auth.jwt.type.
func TestType(t *testing.T) {
	issuer := issuertest.New(t)
	cfg := configured(issuer.Name())
	cfg.Type = "at+jwt"
	v := started(t, cfg)
	if got := reasonOf(t, v, with(auth.Place{}, issuer.Token("ada"))); got != auth.ReasonInvalid {
		t.Errorf("typ JWT: refused as %q", got)
	}
	for _, typ := range []string{"at+jwt", "application/at+JWT"} {
		if got := reasonOf(t, v, with(auth.Place{}, issuer.Typed(typ, "ada"))); got != "" {
			t.Errorf("typ %s: refused as %q", typ, got)
		}
	}
}

// TestSecret covers tokens that are signed by HMAC.
func TestSecret(t *testing.T) {
	issuer := issuertest.New(t)
	secret := []byte(strings.Repeat("s", 32))
	cfg := configured(issuer.Name())
	cfg.Secret, cfg.Algorithms = secret, []string{"HS256"}
	v := started(t, cfg)
	for _, c := range []struct {
		name, token string
		want        auth.Reason
	}{
		{"valid", issuertest.Sign(t, jwt.SigningMethodHS256, secret, nil, issuer.Claims("ada")), ""},
		{"another secret", issuertest.Sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("t", 32)), nil, issuer.Claims("ada")), auth.ReasonInvalid},
		{"another algorithm", issuertest.Sign(t, jwt.SigningMethodHS512, secret, nil, issuer.Claims("ada")), auth.ReasonInvalid},
		{"a key pair", issuer.Token("ada"), auth.ReasonInvalid},
	} {
		if got := reasonOf(t, v, with(auth.Place{}, c.token)); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
	if issuer.Reads() != 0 {
		t.Error("keys were read although there is a secret")
	}
}

// TestPlaces covers where tokens may be: the first place that has one decides, and two in one place are
// none.
func TestPlaces(t *testing.T) {
	issuer, second := issuertest.New(t), issuertest.New(t)
	cookie, query := auth.Place{Cookie: "session"}, auth.Place{Query: "access_token"}
	first, other := configured(issuer.Name()), configured(second.Name())
	first.From, other.From = []auth.Place{{}, cookie, query}, []auth.Place{cookie}
	v := started(t, first, other)
	good := issuer.Token("ada")
	twice := func(place auth.Place) *http.Request {
		r := with(place, good)
		switch {
		case place.Cookie != "":
			r.AddCookie(&http.Cookie{Name: place.Cookie, Value: good})
		case place.Query != "":
			r.URL.RawQuery += "&" + r.URL.RawQuery
		default:
			r.Header.Add("Authorization", "Bearer "+good)
		}
		return r
	}
	badBeforeGood := with(cookie, good)
	badBeforeGood.Header.Set("Authorization", "Bearer x")
	basic := with(cookie, good)
	basic.Header.Set("Authorization", "Basic YTpi")
	for _, c := range []struct {
		name    string
		request *http.Request
		want    auth.Reason
	}{
		{"header", with(auth.Place{}, good), ""},
		{"cookie", with(cookie, good), ""},
		{"query", with(query, good), ""},
		{"another cookie", with(auth.Place{Cookie: "sessions"}, good), auth.ReasonMissing},
		{"another parameter", with(auth.Place{Query: "token"}, good), auth.ReasonMissing},
		{"two headers", twice(auth.Place{}), auth.ReasonInvalid},
		{"two cookies", twice(cookie), auth.ReasonInvalid},
		{"two parameters", twice(query), auth.ReasonInvalid},
		{"a wrong header and a good cookie", badBeforeGood, auth.ReasonInvalid},
		{"another scheme in the header", basic, ""},
		{"in a place of the other issuer", with(auth.Place{}, second.Token("ada")), auth.ReasonInvalid},
		{"in the other issuer's place", with(cookie, second.Token("ada")), ""},
	} {
		if got := reasonOf(t, v, c.request); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
}

// TestRotation covers keys that come and go.
func TestRotation(t *testing.T) {
	issuer := issuertest.New(t)
	cfg := configured(issuer.Name())
	cfg.Every, cfg.Unknown = 50*time.Millisecond, time.Hour
	v := started(t, cfg)
	old := issuer.Token("ada")
	if got := reasonOf(t, v, with(auth.Place{}, old)); got != "" {
		t.Fatalf("refused as %q", got)
	}
	issuer.Rotate()
	var clients sync.WaitGroup
	for range 100 { // all wait for one reading
		clients.Go(func() {
			if got := reasonOf(t, v, with(auth.Place{}, issuer.Token("ada"))); got != "" {
				t.Errorf("a new key: refused as %q", got)
			}
		})
	}
	clients.Wait()
	if got := reasonOf(t, v, with(auth.Place{}, old)); got != "" {
		t.Errorf("the old key: refused as %q", got)
	}
	issuer.RemoveOldKeys()
	for removed := issuer.Reads(); issuer.Reads() < removed+2; { // the second one has certainly begun after the removal, and the first has ended
		time.Sleep(time.Millisecond)
	}
	if got := reasonOf(t, v, with(auth.Place{}, old)); got != auth.ReasonInvalid {
		t.Errorf("a removed key: refused as %q", got)
	}
}

// TestFloodOfUnknownKeys covers 10,000 tokens with made-up keys: one reading.
func TestFloodOfUnknownKeys(t *testing.T) {
	issuer := issuertest.New(t)
	v := started(t, configured(issuer.Name()))
	if got := reasonOf(t, v, with(auth.Place{}, issuer.Token("ada"))); got != "" {
		t.Fatalf("refused as %q", got)
	}
	before := issuer.Reads()
	token := issuertest.Sign(t, jwt.SigningMethodES256, issuertest.NewKey(t), map[string]any{"kid": "made-up"}, issuer.Claims("ada"))
	var clients sync.WaitGroup
	for range 10 {
		clients.Go(func() {
			for range 1000 {
				if got := reasonOf(t, v, with(auth.Place{}, token)); got != auth.ReasonInvalid {
					t.Errorf("refused as %q", got)
				}
			}
		})
	}
	clients.Wait()
	if reads := issuer.Reads() - before; reads > 1 {
		t.Errorf("the key set was read %d times", reads)
	}
}

// TestIssuerThatIsAway covers an issuer that is away at the start, and later.
func TestIssuerThatIsAway(t *testing.T) {
	issuer := issuertest.New(t)
	issuer.SetAway(true)
	cfg := configured(issuer.Name())
	cfg.Unknown = 0
	v := started(t, cfg)
	token := issuer.Token("ada")
	if _, err := v.Authenticate(with(auth.Place{}, token)); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("away at the start: %v", err)
	}
	issuer.SetAway(false)
	for { // until its next attempt
		who, err := v.Authenticate(with(auth.Place{}, token))
		if err == nil && who.Claims["sub"] == "ada" {
			break
		}
		if !errors.Is(err, auth.ErrUnavailable) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	issuer.SetAway(true)
	if got := reasonOf(t, v, with(auth.Place{}, issuer.Token("ada"))); got != "" {
		t.Errorf("a known key of an issuer that is away: refused as %q", got)
	}
	issuer.Rotate()
	if _, err := v.Authenticate(with(auth.Place{}, issuer.Token("ada"))); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("an unknown key of an issuer that is away: %v", err)
	}
}
