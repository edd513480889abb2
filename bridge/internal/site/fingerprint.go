package site

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// fingerprint is a hash of the configuration in force, defaults included, however it
// was written. It shows which replicas have the same one. Values of metadata are left
// out: a reader of the hash could guess at a secret and check the guess.
func fingerprint(cfg config.Config) string {
	cfg.Upstreams = maps.Clone(cfg.Upstreams)
	for name, up := range cfg.Upstreams {
		up.Metadata = maps.Clone(up.Metadata)
		for key := range up.Metadata {
			up.Metadata[key] = ""
		}
		cfg.Upstreams[name] = up
	}
	text, err := json.Marshal(cfg) //nolint:musttag // the text is hashed and not read, so its names do not matter
	if err != nil {
		return "unknown" // a value of request.set that an embedder made
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
