package site

import (
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/auth"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/tokens"
)

// credentials verify who clients are. Consecutive sites share them, with the keys of the issuers, while
// the configuration of auth stays the same.
type credentials struct {
	cfg    config.Auth
	tokens *tokens.Verifier
	own    auth.Own     // the program's; nil: none, and tokens are asked
	sites  atomic.Int32 // that share them
}

// credentialsOf returns the credentials of a configuration: the old site's if that has the same.
func (b *Sites) credentialsOf(cfg config.Auth, old *Site) *credentials {
	if old != nil && reflect.DeepEqual(old.credentials.cfg, cfg) {
		old.credentials.sites.Add(1)
		return old.credentials
	}
	issuers := make([]tokens.Issuer, len(cfg.JWT))
	for i, from := range cfg.JWT {
		issuers[i] = issuerOf(from)
	}
	c := &credentials{cfg: cfg, tokens: tokens.New(issuers, b.params.Logger), own: b.params.Authenticate}
	c.sites.Add(1)
	return c
}

// checkAuth returns an error for each route that asks for a credential where nothing verifies one, and
// one if both the program and the configuration say how. cfg has defaults.
func (b *Sites) checkAuth(cfg config.Config) error {
	var found config.Errors
	switch {
	case b.params.Authenticate != nil && len(cfg.Auth.JWT) > 0:
		found = append(found, config.Errorf("auth.jwt", "has no effect with Options.Authenticate, which the program has set; remove one of them"))
	case b.params.Authenticate == nil && len(cfg.Auth.JWT) == 0:
		for i, r := range cfg.Routes {
			if r.Auth.Mode != config.AuthNone {
				found = append(found, configerr.New("asks for a credential, and the bridge's auth names none; write "+
					"auth: {jwt: {issuer: https://id.example.com, audience: [events]}}", "routes[%d].auth", i))
			}
		}
	}
	return configerr.Join(found)
}

// release ends a site's use of the credentials.
func (c *credentials) release() {
	if c.sites.Add(-1) == 0 {
		c.tokens.Close()
	}
}

// issuerOf returns an issuer of tokens, which is configured with defaults.
func issuerOf(cfg config.Issuer) tokens.Issuer {
	places := make([]auth.Place, len(cfg.From))
	for i, text := range cfg.From {
		places[i] = placeOf(text)
	}
	return tokens.Issuer{
		Name: cfg.Issuer, Keys: cfg.JWKS, Secret: []byte(cfg.Secret), Algorithms: cfg.Algorithms, Audience: cfg.Audience, Type: cfg.Type,
		Leeway: time.Duration(*cfg.Leeway), Every: time.Duration(cfg.Refresh.Every), Unknown: time.Duration(cfg.Refresh.Unknown),
		From: places, Key: cfg.Key,
	}
}

// placeOf returns the place of a token: header, cookie:NAME or query:NAME.
func placeOf(text string) auth.Place {
	switch kind, name, _ := strings.Cut(text, ":"); kind {
	case "cookie":
		return auth.Place{Cookie: name}
	case "query":
		return auth.Place{Query: name}
	default:
		return auth.Place{}
	}
}

// guard returns what admits a route's requests; nil admits all.
func (c *credentials) guard(cfg config.RouteAuth) *auth.Guard {
	if cfg.Mode == config.AuthNone {
		return nil
	}
	g := &auth.Guard{Provider: c.tokens, Required: cfg.Mode == config.AuthRequired}
	if c.own != nil {
		g.Provider = c.own
	}
	for _, condition := range cfg.Allow {
		g.Allow = append(g.Allow, auth.Condition(condition))
	}
	return g
}

// queryNames returns the query parameters that carry tokens.
func (c *credentials) queryNames() (names []string) {
	for _, issuer := range c.cfg.JWT {
		for _, text := range issuer.From {
			if place := placeOf(text); place.Query != "" {
				names = append(names, place.Query)
			}
		}
	}
	return names
}
