package route

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// isPerRequest reports whether a header differs between the requests of one client. Such headers are
// forwarded but excluded from the identity, or no two clients would share a topic.
func isPerRequest(name string) bool {
	switch name {
	case "x-request-id", "traceparent", "tracestate", "baggage":
		return true
	default:
		return false
	}
}

// forwarded is a header that the route forwards as metadata.
type forwarded struct {
	// name is in lower case, header is the canonical name.
	name, header string
	key          bool
}

// forward checks the forwarded headers and adds them to the binder.
func (c *compiler) forward(list []Metadata) {
	for i, m := range list {
		name := strings.ToLower(m.Name)
		key := fmt.Sprintf("request.metadata[%d]", i)

		if !isMetadataName(name) {
			c.failf(key, "%s is no name of metadata", quoted(m.Name))
			continue
		}

		if isTransportName(name) {
			c.failf(key, "%s belongs to the transport and cannot be forwarded", name)
			continue
		}

		if slices.ContainsFunc(c.binder.metadata, func(f forwarded) bool { return f.name == name }) {
			c.failf(key, "%s is listed twice", name)
			continue
		}

		c.binder.metadata = append(c.binder.metadata, forwarded{
			name: name, header: http.CanonicalHeaderKey(name),
			key: m.Key && !isPerRequest(name),
		})
	}

	slices.SortFunc(c.binder.metadata, func(a, b forwarded) int { return strings.Compare(a.name, b.name) })
}

// isMetadataName reports whether gRPC allows the name (Header-Name in gRPC over HTTP/2).
func isMetadataName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return name != ""
}

// isTransportName reports whether a header describes the connection or the call. The upstream's
// transport sets these itself.
func isTransportName(name string) bool {
	switch name {
	case "host", "te", "connection", "content-type", "content-length", "transfer-encoding", "upgrade", "keep-alive":
		return true
	default:
		return strings.HasPrefix(name, "grpc-")
	}
}

// bindMetadata returns the forwarded headers by lower-case name, with values in order, and the encoding
// of those that belong to the identity, without a verified token in them.
func (b *Binder) bindMetadata(h http.Header, token string) (map[string][]string, []byte, error) {
	var (
		metadata map[string][]string
		identity []byte
	)

	for _, f := range b.metadata {
		values := h[f.header]
		if len(values) == 0 {
			continue
		}

		values, err := metadataValues(f.name, values)
		if err != nil {
			return nil, nil, err
		}

		if metadata == nil {
			metadata = make(map[string][]string, len(b.metadata))
		}

		metadata[f.name] = values

		if f.key {
			identity = appendIdentity(identity, f.name, without(token, values))
		}
	}
	return metadata, identity, nil
}

// without returns values in which a NUL, which no header has, stands for a verified token.
func without(token string, values []string) []string {
	if token == "" {
		return values
	}
	plain := slices.Clone(values)
	for i, v := range plain {
		plain[i] = strings.ReplaceAll(v, token, "\x00")
	}
	return plain
}

// metadataValues checks the values of a header. It decodes the values of a -bin header: base64, with
// commas between the values of one line.
func metadataValues(name string, values []string) ([]string, error) {
	if !strings.HasSuffix(name, "-bin") {
		for _, v := range values {
			if !isPrintableASCII(v) {
				return nil, badField(name, "want a header of printable ASCII")
			}
		}
		return slices.Clone(values), nil
	}

	var decoded []string

	for _, line := range values {
		for v := range strings.SplitSeq(line, ",") {
			v = strings.Trim(v, " \t")

			data, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
			if err != nil || strings.ContainsAny(v, "\r\n") {
				return nil, badField(name, "want a header in base64")
			}

			decoded = append(decoded, string(data))
		}
	}
	return decoded, nil
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// appendIdentity appends a name and its values. The length before each part makes the encoding
// unambiguous.
func appendIdentity(dst []byte, name string, values []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	dst = binary.AppendUvarint(dst, uint64(len(values)))

	for _, v := range values {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	return dst
}
