package upstream

import (
	"crypto/sha256"
	"reflect"
)

// Same reports whether New would make an equal upstream of params: with the same parameters and an
// equivalent schema, including imports of .proto sources. It compares neither Params.Conn nor
// Logger, nor the contents of the files of Params.TLS: each handshake reads them, so the next
// connection uses renewed ones and established connections are not disturbed. If New would fail
// because of the files' contents, Same fails with *ParamError.
func (u *Upstream) Same(params Params) (bool, error) {
	params = params.withDefaults()
	if !reflect.DeepEqual(u.params.plain(), params.plain()) {
		return false, nil
	}
	if params.TLS != nil && params.Conn == nil {
		config, err := params.TLS.config()
		if err != nil {
			return false, err
		}
		u.certificate.Store(leafOf(config))
	}
	schema, err := params.Schema.load()
	return schema.sumOf() == u.fixed, err
}

// plain returns p without the fields that Same ignores or compares by their checksum.
func (p Params) plain() Params {
	p.Conn, p.Logger, p.Schema.Descriptors, p.Intake = nil, nil, nil, nil
	return p
}

// sumOf returns the schema's checksum. It is zero for a nil schema, which is one that comes by
// reflection.
func (s *Schema) sumOf() (sum [sha256.Size]byte) {
	if s == nil {
		return sum
	}
	return s.sum
}
