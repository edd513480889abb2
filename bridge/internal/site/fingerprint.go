package site

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// fingerprint returns a hash of a configuration with defaults, to compare replicas. It leaves
// out values of metadata, because they may be secrets: the hash would confirm a guess.
func fingerprint(cfg config.Config) string {
	cfg.Upstreams = maps.Clone(cfg.Upstreams)
	for name, up := range cfg.Upstreams {
		up.Metadata = maps.Clone(up.Metadata)
		for key := range up.Metadata {
			up.Metadata[key] = ""
		}
		cfg.Upstreams[name] = up
	}
	text, err := json.Marshal(cfg) //nolint:musttag // the text is only hashed, so the names of its fields do not matter
	if err != nil {
		return "unknown" // request.set of an embedder may have a value without a JSON form
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
