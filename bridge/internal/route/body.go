package route

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/ssebridge/ssebridge/internal/printable"
)

// bindBody sets the fields of the body. It reads the body twice: jsonReader checks which fields it sets
// and names the field in an error; protojson alone interprets values.
func (b *Binder) bindBody(m proto.Message, h http.Header, body []byte, given *ledger) error {
	if len(body) == 0 {
		return nil
	}

	if b.body.none() {
		return badRequest("the route takes no body")
	}

	if err := checkContentType(h); err != nil {
		return err
	}

	if bytes.HasPrefix(body, []byte("\xef\xbb\xbf")) {
		return badRequest("the body begins with a byte order mark")
	}

	if !utf8.Valid(body) {
		return badRequest("the body is not valid UTF-8")
	}

	if err := newJSONReader(b, body, "the body", fromBody).readBody(given); err != nil {
		return err
	}

	opts := protojson.UnmarshalOptions{AllowPartial: true, Resolver: b.resolver}
	if err := unmarshalJSON(opts, body, m); err != nil {
		return b.explain(err, body)
	}
	return nil
}

// The headers of a body, as an Error names them.
const (
	contentType     = "content-type"
	contentEncoding = "content-encoding"
)

// checkContentType checks that a body is uncompressed JSON in UTF-8.
func checkContentType(h http.Header) error {
	unsupported := func(field, message string) error {
		return &Error{Status: http.StatusUnsupportedMediaType, Field: field, Message: message}
	}

	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return unsupported(contentType, "want application/json, got "+quoted(h.Get("Content-Type")))
	}

	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported(contentType, "want the charset utf-8, got "+quoted(charset))
	}

	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unsupported(contentEncoding, "want a plain body, got "+quoted(coding))
	}
	return nil
}

// positionPattern matches the position in an error of protojson.
var positionPattern = regexp.MustCompile(`\(line (\d+):(\d+)\): `)

// explain turns an error of protojson about a body into one that names the field.
func (b *Binder) explain(err error, body []byte) error {
	detail, offset := position(err, body)

	r := newJSONReader(b, body, "the body", fromBody)
	if found := r.locate(offset, func() error { return r.readRequest(&ledger{}) }); found != nil {
		return found.explain(detail)
	}
	return badRequest("the body is no %s: %s", b.input.FullName(), detail)
}

// position splits an error of protojson into its detail and the offset of the value, -1 if it has none.
// The library varies its texts from build to build, so callers use the detail only if they cannot name
// the value.
func position(err error, data []byte) (detail string, offset int) {
	text := protoText(err)

	at := positionPattern.FindStringSubmatchIndex(text)
	if at == nil {
		return text, -1
	}
	return text[at[1]:], offsetOf(data, text[at[2]:at[3]], text[at[4]:at[5]])
}

// offsetOf converts a position in protojson's form (lines and characters, counted from 1) to an offset.
func offsetOf(data []byte, line, column string) int {
	lines, errLine := strconv.Atoi(line)
	columns, errColumn := strconv.Atoi(column)

	if errors.Join(errLine, errColumn) != nil {
		return -1
	}

	offset := 0

	for ; lines > 1; lines-- {
		offset += bytes.IndexByte(data[offset:], '\n') + 1
	}

	for ; columns > 1 && offset < len(data); columns-- {
		_, size := utf8.DecodeRune(data[offset:])
		offset += size
	}
	return offset
}

// protoText returns the text of a protobuf error in printable form, cut, without the prefixes that the
// library varies on purpose.
func protoText(err error) string {
	for inner := errors.Unwrap(err); inner != nil && !strings.HasPrefix(err.Error(), "proto:"); inner = errors.Unwrap(inner) {
		err = inner
	}

	text := strings.NewReplacer("proto:\u00a0", "", "proto: ", "", "\u00a0", " ").Replace(err.Error())
	if text = printable.Escape(text); len(text) > 3*maxEcho {
		text = strings.ToValidUTF8(text[:3*maxEcho], "") + "…"
	}
	return text
}
