package route

import (
	"net/url"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// splitPath returns the canonical segments of a request's path; "/" has none. It returns false for
// paths that no template matches: those with an empty segment (a doubled or trailing slash), and those
// with a dot segment, which a proxy in front may resolve to another path.
//
// It starts from EscapedPath because URL.Path does not distinguish "%2F" from "/", and URL.RawPath is
// empty for paths such as "/100%25", which would then be decoded twice.
func splitPath(u *url.URL) ([]string, bool) {
	path, ok := strings.CutPrefix(u.EscapedPath(), "/")
	if !ok {
		return nil, false
	}

	if path == "" {
		return nil, true
	}

	segments := strings.Split(path, "/")
	for i, s := range segments {
		s = canonical(s, i == len(segments)-1)
		if s == "" || s == "." || s == ".." {
			return nil, false
		}

		segments[i] = s
	}
	return segments, true
}

// canonical returns the spelling of a path segment that is used in comparisons. It decodes characters
// that are allowed in a segment (RFC 3986 section 3.3, pchar) and writes all others as upper-case
// percent-encodings. "%2F" stays encoded, since it is not a separator. "%3A" stays encoded in the last
// segment, since only a bare colon starts a verb.
func canonical(segment string, last bool) string {
	if isCanonical(segment) {
		return segment
	}

	dst := make([]byte, 0, len(segment))

	for i := 0; i < len(segment); i++ {
		c, encoded := segment[i], false
		if c == '%' && i+2 < len(segment) && isHex(segment[i+1]) && isHex(segment[i+2]) {
			c, encoded = unhex(segment[i+1])<<4|unhex(segment[i+2]), true
			i += 2
		}

		if isPchar(c) && (!encoded || c != ':' || !last) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&0xf])
		}
	}
	return string(dst)
}

func isCanonical(segment string) bool {
	for i := range len(segment) {
		if !isPchar(segment[i]) {
			return false
		}
	}
	return true
}

// isPchar reports whether a path segment may contain c without encoding.
func isPchar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	default:
		return c != 0 && strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}
