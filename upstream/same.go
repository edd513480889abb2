package upstream

import (
	"crypto/sha256"
	"fmt"
	"reflect"

	"github.com/ssebridge/ssebridge/internal/regular"
)

// Same reports whether New would make of params what u is: the same parameters
// and, where they name files, the same contents as when u was made, imports of
// .proto sources included. Params.Conn and Logger are not compared. Where New
// would fail for what is in the files, Same does, with *ParamError.
func (u *Upstream) Same(params Params) (bool, error) {
	params = params.withDefaults()
	if !reflect.DeepEqual(u.params.plain(), params.plain()) {
		return false, nil
	}
	schema, err := params.Schema.load()
	if err != nil {
		return false, err
	}
	files, err := params.sum(schema)
	return files == u.files, err
}

// plain is p without what is not compared, or by its sum.
func (p Params) plain() Params {
	p.Conn, p.Logger, p.Schema.Descriptors = nil, nil, nil
	return p
}

// sum is over what is in the files that the parameters name, given the schema
// that was made of them. Errors are *ParamError.
func (p Params) sum(schema *Schema) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	if schema != nil {
		hash.Write(schema.sum[:])
	}
	if p.TLS == nil || p.Conn != nil {
		hash.Sum(sum[:0])
		return sum, nil
	}
	if _, err := p.TLS.config(); err != nil {
		return sum, err
	}
	for _, file := range []struct{ field, path string }{{"tls.ca", p.TLS.CA}, {"tls.cert", p.TLS.Cert}, {"tls.key", p.TLS.Key}} {
		if file.path == "" {
			continue
		}
		content, err := regular.Read(file.path, maxPEM)
		if err != nil {
			return sum, &ParamError{file.field, err}
		}
		hash.Write(fmt.Appendf(nil, "%s %d\n", file.field, len(content)))
		hash.Write(content)
	}
	hash.Sum(sum[:0])
	return sum, nil
}
