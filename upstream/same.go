package upstream

import (
	"crypto/sha256"
	"reflect"
)

// Same reports whether New would make of params what u is: the same parameters
// and a schema that means the same, imports of .proto sources included.
// Params.Conn and Logger are not compared. Nor is what the files of Params.TLS
// hold: each handshake reads them, so that renewed ones are used by the next
// connection and disturb none that is up. Where New would fail for what is in
// the files, Same does, with *ParamError.
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

// plain is p without what is not compared, or by its sum.
func (p Params) plain() Params {
	p.Conn, p.Logger, p.Schema.Descriptors, p.Intake = nil, nil, nil, nil
	return p
}

// sumOf is the schema's sum, and zero for none, which is one that comes by
// reflection.
func (s *Schema) sumOf() (sum [sha256.Size]byte) {
	if s == nil {
		return sum
	}
	return s.sum
}
