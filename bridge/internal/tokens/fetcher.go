package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/ssebridge/ssebridge/internal/regular"
)

const (
	// maxSetBytes bounds a key set and an issuer's metadata.
	maxSetBytes = 256 << 10
	// fetchTimeout bounds the reading of a key set, with the metadata that names it.
	fetchTimeout = 10 * time.Second
)

// fetcher reads the key set of an issuer.
type fetcher struct {
	issuer string
	keys   string // the configured URL; empty: as the issuer's metadata say
	client *http.Client

	mu         sync.Mutex
	discovered string // the URL in the metadata; empty: unknown
}

func newFetcher(issuer, keys string) *fetcher {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // as package http documents it
	return &fetcher{issuer: issuer, keys: keys, client: &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 5 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// fetch returns the issuer's keys of known types, at least one.
func (f *fetcher) fetch(ctx context.Context) ([]jwkset.JWK, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	from, err := f.location(ctx)
	if err != nil {
		return nil, err
	}
	data, err := f.get(ctx, from)
	if err != nil {
		f.forget() // the metadata may name another one by now
		return nil, err
	}
	return parse(data)
}

// location returns the URL of the key set.
func (f *fetcher) location(ctx context.Context) (string, error) {
	if f.keys != "" {
		return f.keys, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.discovered != "" {
		return f.discovered, nil
	}
	found, err := f.discover(ctx)
	f.discovered = found
	return found, err
}

func (f *fetcher) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discovered = ""
}

// discover reads the issuer's metadata (OpenID Connect Discovery, section 4; RFC 8414, section 3).
func (f *fetcher) discover(ctx context.Context) (string, error) {
	var wrong error
	for _, from := range metadataURLs(f.issuer) {
		data, err := f.get(ctx, from)
		if err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		var metadata struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"` //nolint:tagliatelle // the standard's name
		}
		switch err := json.Unmarshal(data, &metadata); {
		case err != nil:
			wrong = errors.Join(wrong, fmt.Errorf("%s has no JSON: %w", from, err))
		case metadata.Issuer != f.issuer:
			wrong = errors.Join(wrong, fmt.Errorf("%s is of the issuer %q, and auth.jwt names %q", from, metadata.Issuer, f.issuer))
		case !f.isSecure(metadata.Keys):
			wrong = errors.Join(wrong, fmt.Errorf("%s has the jwks_uri %q, which is not https", from, metadata.Keys))
		default:
			return metadata.Keys, nil
		}
	}
	return "", wrong
}

// metadataURLs returns where an issuer may have its metadata.
func metadataURLs(issuer string) []string {
	plain := strings.TrimSuffix(issuer, "/")
	urls := []string{plain + "/.well-known/openid-configuration"}
	if u, err := url.Parse(plain); err == nil {
		u.Path = "/.well-known/oauth-authorization-server" + u.Path
		urls = append(urls, u.String())
	}
	return urls
}

// get reads what a URL names.
func (f *fetcher) get(ctx context.Context, from string) ([]byte, error) {
	if name, isFile := strings.CutPrefix(from, "file://"); isFile {
		data, err := regular.Read(name, maxSetBytes)
		if err != nil {
			return nil, fmt.Errorf("reading a key set: %w", err)
		}
		return data, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("reading a key set: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	resp, err := f.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("reading a key set: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", from, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", from, resp.Status)
	case len(data) > maxSetBytes:
		return nil, fmt.Errorf("%s has more than %d bytes", from, maxSetBytes)
	}
	return data, nil
}

// parse returns the keys of known types in a key set. A key that cannot be used does not spoil the others
// (RFC 7517, section 5).
func parse(data []byte) ([]jwkset.JWK, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("the key set is not JSON: %w", err)
	}
	var keys []jwkset.JWK
	for _, one := range set.Keys {
		key, err := jwkset.NewJWKFromMarshal(one, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
		if err == nil && public(key) != nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// isSecure reports whether the key set may be read from a URL that the issuer's metadata name: by HTTPS
// or, for an issuer that is configured so, in clear.
func (f *fetcher) isSecure(from string) bool {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(f.issuer, "http://")
}
