package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// fingerprint tells configurations apart, and tells which replicas have the same. It
// is of what holds, defaults included, however that was written; values of metadata are
// left out: whoever reads it may guess at a secret and see whether it was right.
func fingerprint(cfg config.Config) string {
	cfg.Upstreams = maps.Clone(cfg.Upstreams)
	for name, up := range cfg.Upstreams {
		up.Metadata = maps.Clone(up.Metadata)
		for key := range up.Metadata {
			up.Metadata[key] = ""
		}
		cfg.Upstreams[name] = up
	}
	text, err := json.Marshal(cfg) //nolint:musttag // whatever the names are: nobody reads it
	if err != nil {
		return "unknown" // a value of request.set that an embedder made
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
