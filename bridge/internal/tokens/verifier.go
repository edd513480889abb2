package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ssebridge/ssebridge/bridge/internal/auth"
)

const (
	// maxTokenBytes bounds a token: reading one costs memory and time before its signature is checked.
	maxTokenBytes = 16 << 10
	// recently is how long after its end a token's client is told so in band: it may have been refreshed
	// already where the page has not noticed.
	recently = 5 * time.Minute
)

// Issuer is a configured issuer of tokens.
type Issuer struct {
	// Name is the claim iss of its tokens.
	Name string
	// Keys is the URL of its key set (RFC 7517, section 5), https, http or file; empty with a Secret, and
	// for the one that the issuer's metadata names.
	Keys string
	// Secret is the key of HMAC algorithms, in place of Keys.
	Secret []byte
	// Algorithms are the accepted ones. The tokens' own choice among them counts (RFC 8725, section 3.1).
	Algorithms []string
	// Audience are the names of which a token must have one as aud.
	Audience []string
	// Type is what the header typ of a token must be; empty: anything.
	Type string
	// Leeway is how far the clocks of the issuer and of the bridge may differ.
	Leeway time.Duration
	// Every is how often the key set is read, and Unknown how often at most it is read because of a token
	// whose key is not in it.
	Every, Unknown time.Duration
	// From are the places of a request that may have its tokens.
	From []auth.Place
	// Key are the claims that distinguish clients, see auth.KeyOf.
	Key []string
}

// Verifier verifies tokens. It is safe for concurrent use. The owner closes it.
type Verifier struct {
	issuers map[string]*issuer
	places  []auth.Place // of all issuers, in their order
	started sync.Once
}

// issuer is an Issuer with its keys.
type issuer struct {
	Issuer
	keys   *keySet // nil with a secret
	parser *jwt.Parser
}

// New returns a Verifier. The caller starts it.
func New(issuers []Issuer, logger *slog.Logger) *Verifier {
	v := &Verifier{issuers: make(map[string]*issuer, len(issuers))}
	for _, cfg := range issuers {
		i := &issuer{Issuer: cfg, parser: jwt.NewParser(
			jwt.WithValidMethods(cfg.Algorithms), jwt.WithIssuer(cfg.Name), jwt.WithAudience(cfg.Audience...),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(cfg.Leeway), jwt.WithJSONNumber(),
		)}
		if len(cfg.Secret) == 0 {
			i.keys = newKeySet(cfg.Name, newFetcher(cfg.Name, cfg.Keys), pace{cfg.Every, cfg.Unknown}, logger)
		}
		v.issuers[cfg.Name] = i
		for _, place := range cfg.From {
			if !slices.Contains(v.places, place) {
				v.places = append(v.places, place)
			}
		}
	}
	return v
}

// Start begins to read the issuers' key sets, and does not wait for them. Only its first call has an
// effect.
func (v *Verifier) Start() {
	v.started.Do(func() {
		for _, i := range v.issuers {
			if i.keys != nil {
				i.keys.start()
			}
		}
	})
}

// Close stops reading the key sets.
func (v *Verifier) Close() {
	for _, i := range v.issuers {
		if i.keys != nil {
			i.keys.close()
		}
	}
}

// Authenticate implements auth.Provider: the first place that has a token decides.
func (v *Verifier) Authenticate(r *http.Request) (*auth.Identity, error) {
	for _, place := range v.places {
		token, err := place.Token(r)
		if err != nil {
			return nil, &auth.RefusedError{Reason: auth.ReasonInvalid, Place: place, Cause: err}
		}
		if token != "" {
			return v.verify(r.Context(), token, place)
		}
	}
	return nil, nil //nolint:nilnil // the request has no token
}

// Errors of tokens, for the log.
var (
	errTooLong   = fmt.Errorf("the token has more than %d bytes", maxTokenBytes)
	errMalformed = errors.New("the token cannot be read")
	errIssuer    = errors.New("the token's issuer is not configured for the place where it is")
	errCritical  = errors.New("the token's header demands an extension")
	errType      = errors.New("the token's header has another typ")
	errUnsigned  = errors.New("the token's signature, or its algorithm, is wrong")
	errClaims    = errors.New("the token's time or audience is wrong")
	errNoKey     = errors.New("the token's key is not in the issuer's key set")
)

// verify returns the identity that a token proves.
func (v *Verifier) verify(ctx context.Context, token string, place auth.Place) (*auth.Identity, error) {
	refuse := func(cause error) (*auth.Identity, error) {
		return nil, &auth.RefusedError{Reason: auth.ReasonInvalid, Place: place, Cause: cause}
	}
	if len(token) > maxTokenBytes {
		return refuse(errTooLong)
	}
	unverified := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, unverified)
	if err != nil {
		return refuse(errMalformed)
	}
	name, _ := unverified["iss"].(string)
	i := v.issuers[name]
	switch {
	case i == nil || !slices.Contains(i.From, place):
		return refuse(errIssuer)
	case parsed.Header["crit"] != nil: // RFC 7515, section 4.1.11
		return refuse(errCritical)
	case i.Type != "" && !isType(parsed.Header["typ"], i.Type):
		return refuse(errType)
	}
	claims := jwt.MapClaims{}
	err = i.check(ctx, token, claims)
	switch {
	case errors.Is(err, auth.ErrUnavailable):
		return nil, auth.ErrUnavailable
	case errors.Is(err, jwt.ErrTokenExpired) && !isWrongToo(err):
		ended, timeErr := claims.GetExpirationTime()
		return nil, &auth.RefusedError{
			Reason: auth.ReasonExpired, Place: place,
			Recently: timeErr == nil && ended != nil && time.Since(ended.Time) <= recently,
		}
	case errors.Is(err, errNoKey):
		return refuse(errNoKey)
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return refuse(errClaims)
	case err != nil:
		return refuse(errUnsigned)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return refuse(errClaims)
	}
	return &auth.Identity{
		Claims: auth.Claims(claims), Key: auth.KeyOf(name, auth.Claims(claims), i.Key),
		Expires: i.end(expires.Time), Token: token, Place: place, Ambient: place.Cookie != "",
	}, nil
}

// isWrongToo reports whether an expired token was never valid here.
func isWrongToo(err error) bool {
	return errors.Is(err, jwt.ErrTokenInvalidAudience) || errors.Is(err, jwt.ErrTokenInvalidIssuer) ||
		errors.Is(err, jwt.ErrTokenNotValidYet) || errors.Is(err, jwt.ErrTokenUsedBeforeIssued)
}

// end returns when a token that was accepted ceases to be: at its time or, if it was accepted because of
// the leeway only, at the end of that.
func (i *issuer) end(expires time.Time) time.Time {
	if time.Now().Before(expires) {
		return expires
	}
	return expires.Add(i.Leeway)
}

// check verifies a token's signature and claims, and fills claims.
func (i *issuer) check(ctx context.Context, token string, claims jwt.MapClaims) error {
	if i.keys == nil {
		_, err := i.parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return i.Secret, nil })
		return err
	}
	named := false
	verify := func() error {
		_, err := i.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
			id := keyID(t)
			named = id != ""
			return i.keys.find(ctx, id, t.Method.Alg())
		})
		return err //nolint:wrapcheck // verify's caller distinguishes jwt's errors
	}
	err := verify()
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) && !named {
		// The key set may have got a new key, which the token cannot name.
		if err := i.keys.renew(ctx); err != nil {
			return err
		}
		err = verify()
	}
	return err
}

// keyID returns the id of the key that a token names, or "".
func keyID(t *jwt.Token) string {
	id, _ := t.Header["kid"].(string)
	return id
}

// isType reports whether a header typ has a value, of which "application/" may be left out (RFC 7515,
// section 4.1.9).
func isType(typ any, want string) bool {
	text, _ := typ.(string)
	text = strings.TrimPrefix(strings.ToLower(text), "application/")
	return text == strings.TrimPrefix(strings.ToLower(want), "application/")
}
