package site

import (
	"strings"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/cors"
)

// policies are the CORS policies of a site, which routes with the same configuration share.
type policies map[policyKey]*cors.Policy

type policyKey struct {
	cfg     *config.CORS
	methods string
}

// of returns the policy of a route with these methods.
func (p policies) of(cfg *config.CORS, methods []string) *cors.Policy {
	if cfg.Off() {
		return nil
	}
	key := policyKey{cfg, strings.Join(methods, " ")}
	if p[key] == nil {
		p[key] = cors.New(cors.Params{
			Origins: cfg.Origins, Credentials: cfg.Credentials, Methods: methods, Headers: cfg.Headers, Expose: cfg.Expose,
			MaxAge: time.Duration(*cfg.MaxAge),
		})
	}
	return p[key]
}
