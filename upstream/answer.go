package upstream

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// answerField is the metadata key with which answerConn reports to Stream how an answer began or
// ended. answerConn drops the key from received headers, so a peer cannot set it.
const answerField = "ssebridge-answer"

// The values of answerField. For trailers with a grpc-status the value is answerOwn and the status
// code. Only then did the backend send the status itself.
const (
	answerOwn      = "grpc-status "
	answerNoStatus = "trailers without grpc-status"
	answerCut      = "no trailers"
	answerReset    = "RST_STREAM " // followed by the error code
	answerTooLarge = "headers are too large"
	answerBroke    = "the connection was broken: " // followed by the cause
)

// answerUnavailable marks the answer of a backend that reports UNAVAILABLE itself.
const answerUnavailable = answerOwn + madeUpStatus

// madeUpStatus is the grpc-status that answerConn adds to an answer without one: UNAVAILABLE.
const madeUpStatus = "14"

const (
	// maxBlockBytes bounds an encoded header block. HPACK is stateful, so a block with too large
	// fields must still be decoded to its end (RFC 9113, section 10.5.1). A larger block ends the
	// connection.
	maxBlockBytes = 16 << 20
	// maxFieldBytes bounds one name or value of a field. The decoder buffers it even if answerConn
	// drops it.
	maxFieldBytes = 4 << 20
	// maxHTTPAnswers bounds the streams that are remembered because something other than gRPC
	// answers them.
	maxHTTPAnswers = 1 << 10
	// http2FrameLen is the largest frame that grpc-go accepts.
	http2FrameLen = 16 << 10
	// maxBufferedBytes bounds a frame that answerConn buffers in order to rewrite it. A larger one
	// ends the connection.
	maxBufferedBytes = 1 << 20
	// noStream is stream 0, the connection itself (RFC 9113, section 5.1.1).
	noStream = 0
	// keptBuffer is the largest capacity of a buffer that is reused.
	keptBuffer = 64 << 10
)

// answerConn reads an HTTP/2 connection on behalf of grpc-go and rewrites the frames that begin and
// end an answer. All other frames pass unchanged.
//
// It exists for two reasons. First, grpc-go makes up a status if none arrived: from an HTTP status,
// a reset, or a stream that ends without trailers. Only a stats.Handler can distinguish it from a
// status that the backend sent, and a stats.Handler costs half as much as receiving a small
// message. Second, grpc-go closes the whole connection if the headers of one answer are much larger
// than the limit.
//
// So answerConn decodes each header block and encodes it again without HPACK's dynamic table, which
// makes the blocks independent of each other. It marks trailers with a grpc-status as the backend's
// own. It replaces a reset, and a stream that ends without trailers, by trailers that name the
// event, and too large headers by headers that report it.
//
// A frame that violates HTTP/2 ends its own stream if the rest of the connection can still be read
// (breach.go). Otherwise, as after a header block that HPACK cannot decode, the stream ends with
// trailers that name the frame as the cause, and then the connection ends.
//
// A DATA frame costs no more than parsing its header (BenchmarkAnswerConn).
type answerConn struct {
	net.Conn

	// Owned by the one reader of the connection.
	begun bool  // the server has sent SETTINGS first
	plain bool  // it has not, and grpc-go will refuse the connection
	err   error // ends the connection once out has been read

	partial    [frameHeaderLen]byte // the first bytes of an incomplete frame header
	partialLen int
	frame      []byte // the part of a buffered frame that has arrived
	buffering  bool   // the rest of the payload belongs to frame
	left       int    // bytes of payload to come
	cut        uint32 // the stream that ends with the current payload
	skipped    bool   // the rest of the payload is dropped
	oversized  uint32 // the stream of a too large DATA frame while its payload arrives
	// blamed is called before the connection ends because of a frame of one stream.
	blamed func(err error)

	block  headerBlock
	decode *hpack.Decoder
	coded  codedBlock
	encode *hpack.Encoder
	// http holds the streams that something other than gRPC is answering.
	http map[uint32]struct{}

	out  []byte // bytes that Read returns next
	read int    // bytes of out that Read has returned
}

// headerBlock is a header block that is being received.
type headerBlock struct {
	open     bool
	stream   uint32
	end      bool // it ends its stream
	length   int  // encoded bytes
	size     int  // as SETTINGS_MAX_HEADER_LIST_SIZE counts
	fields   []hpack.HeaderField
	tooLarge bool // fields were dropped
	broken   bool // one of its frames violates HTTP/2, and the stream ends with the block
}

// codedBlock collects an encoder's output.
type codedBlock []byte

// Write appends to the block.
func (b *codedBlock) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// newAnswerConn wraps conn. It calls blamed before it ends the connection because of a frame of one
// stream.
func newAnswerConn(conn net.Conn, blamed func(err error)) *answerConn {
	c := &answerConn{Conn: conn, http: map[uint32]struct{}{}, blamed: blamed}
	c.decode = hpack.NewDecoder(hpackTableSize, c.field)
	c.decode.SetMaxStringLength(maxFieldBytes)
	c.encode = hpack.NewEncoder(&c.coded)
	return c
}

// hpackTableSize is the size of HPACK's table. The SETTINGS of grpc-go do not change it.
const hpackTableSize = 4096

// Read returns the server's bytes, with the frames of answers rewritten.
func (c *answerConn) Read(p []byte) (int, error) {
	for {
		if c.read < len(c.out) {
			n := copy(p, c.out[c.read:])
			if c.read += n; c.read == len(c.out) {
				c.out, c.read = reuse(c.out), 0
			}
			return n, nil
		}
		if c.err != nil {
			return 0, c.err
		}
		if c.plain {
			return c.Conn.Read(p)
		}
		buf := p
		if len(p) <= frameHeaderLen {
			buf = make([]byte, 2*frameHeaderLen)
		}
		held := copy(buf, c.partial[:c.partialLen])
		n, err := c.Conn.Read(buf[held:])
		c.err = err
		if n == 0 && err == nil {
			return 0, nil
		}
		if n == 0 {
			continue
		}
		c.partialLen = 0
		kept := c.observe(buf[:held+n])
		if len(p) <= frameHeaderLen {
			c.out = append(append([]byte(nil), buf[:kept]...), c.out...)
			continue
		}
		if kept > 0 {
			return kept, nil
		}
	}
}

// reuse empties a buffer for the next use. It drops a large one.
func reuse(b []byte) []byte {
	if cap(b) > keptBuffer {
		return nil
	}
	return b[:0]
}

// observe processes received bytes. The first kept bytes of p are to be read unchanged; the bytes
// of out follow them.
func (c *answerConn) observe(p []byte) (kept int) {
	at := 0
	spilled := false
	spill := func() {
		if !spilled {
			spilled, kept = true, at
		}
	}
	pass := func(n int) {
		if spilled {
			c.out = append(c.out, p[at:at+n]...)
		}
		at += n
	}
	for at < len(p) || (c.left == 0 && (c.buffering || c.cut != noStream)) {
		switch {
		case c.plain:
			pass(len(p) - at)
		case c.left > 0 && c.buffering:
			spill()
			n := min(c.left, len(p)-at)
			c.frame = append(c.frame, p[at:at+n]...)
			c.left -= n
			at += n
		case c.left > 0 && (c.skipped || c.oversized != noStream):
			spill()
			at += c.drop(p[at:])
		case c.left > 0:
			n := min(c.left, len(p)-at)
			c.left -= n
			pass(n)
		case c.buffering:
			spill()
			c.buffering = false
			if c.rewrite(); c.err != nil {
				return kept
			}
		case c.cut != noStream:
			spill()
			c.appendEnd(c.cut, answerCut)
			c.cut = noStream
		case len(p)-at < frameHeaderLen:
			spill()
			c.partialLen = copy(c.partial[:], p[at:])
			return kept
		default:
			header := p[at : at+frameHeaderLen]
			if c.startFrame(header) {
				pass(frameHeaderLen)
				continue
			}
			spill()
			if c.err != nil {
				return kept
			}
			at += frameHeaderLen
		}
	}
	if !spilled {
		kept = at
	}
	return kept
}

// startFrame examines a frame header, which it may change, and reports whether grpc-go may read it.
func (c *answerConn) startFrame(header []byte) (pass bool) {
	c.frame, c.skipped, c.oversized = reuse(c.frame), false, noStream
	pass = c.classify(header)
	if c.buffering {
		c.frame = append(c.frame, header...)
	}
	return pass
}

// classify does the work of startFrame, except for buffering the frame.
func (c *answerConn) classify(header []byte) (pass bool) {
	c.left = payloadLen(header)
	kind, flags := http2.FrameType(header[3]), http2.Flags(header[4])
	stream := binary.BigEndian.Uint32(header[5:]) &^ (1 << 31)
	if !c.begun {
		c.begun = true
		if kind != http2.FrameSettings {
			c.plain = true
			return true
		}
	}
	if c.block.open && (kind != http2.FrameContinuation || stream != c.block.stream) {
		c.breakf(c.block.stream, "a %v frame within a header block", kind)
		return false
	}
	switch kind {
	case http2.FrameData:
		if stream != noStream && c.left > http2FrameLen {
			// A stream error (RFC 9113, section 4.2). The payload still passes in pieces, since the
			// connection's flow control counts it.
			c.endBroken(stream)
			c.oversized = stream
			return false
		}
		isHTTP := false
		if len(c.http) > 0 {
			_, isHTTP = c.http[stream]
		}
		switch {
		case isHTTP && c.left > 0:
			// grpc-go waits for the end of a page, or for 1 KiB of it. A page that does not end
			// must not keep its RPC open.
			header[4] |= byte(http2.FlagDataEndStream)
			delete(c.http, stream)
		case isHTTP && flags.Has(http2.FlagDataEndStream):
			delete(c.http, stream)
		case flags.Has(http2.FlagDataEndStream):
			header[4] &^= byte(http2.FlagDataEndStream)
			c.cut = stream
		}
		c.buffering = flags.Has(http2.FlagDataPadded) && stream != noStream
		return !c.buffering
	case http2.FrameHeaders, http2.FrameContinuation, http2.FrameRSTStream:
		c.buffer(kind, stream)
		return false
	case http2.FrameWindowUpdate:
		if stream == noStream || c.left == windowUpdateLen-frameHeaderLen {
			return true
		}
		c.endBroken(stream)
		c.skipped = true
		return false
	case http2.FramePushPromise:
		c.breakf(stream, "a %v frame, though pushes are not enabled", kind)
		return false
	case http2.FrameSettings, http2.FramePing, http2.FrameGoAway:
		return true
	default:
		// Frames of unknown types must be discarded (RFC 9113, section 4.1). PRIORITY is deprecated
		// (section 5.3.2).
		c.skipped = true
		return false
	}
}

// buffer collects a frame so that rewrite can handle it once it is complete.
func (c *answerConn) buffer(kind http2.FrameType, stream uint32) {
	switch {
	case stream == noStream:
		c.breakf(stream, "a %v frame without a stream", kind)
	case c.left > maxBufferedBytes:
		c.breakf(stream, "a %v frame of %d bytes", kind, c.left)
	default:
		c.buffering = true
	}
}

// rewrite handles a buffered frame that is complete.
func (c *answerConn) rewrite() {
	header, payload := c.frame[:frameHeaderLen], c.frame[frameHeaderLen:]
	kind, flags := http2.FrameType(header[3]), http2.Flags(header[4])
	stream := binary.BigEndian.Uint32(header[5:]) &^ (1 << 31)
	switch kind { //nolint:exhaustive // startFrame has chosen
	case http2.FrameData:
		c.padded(stream, flags, payload)
		return
	case http2.FrameRSTStream:
		c.reset(stream, payload)
		return
	case http2.FrameHeaders:
		var err error
		if payload, err = headersFragment(flags, payload); err != nil {
			c.breakf(stream, "%w", err)
			return
		}
		fields := c.block.fields[:0]
		c.block = headerBlock{open: true, stream: stream, end: flags.Has(http2.FlagHeadersEndStream), fields: fields}
		c.decode.SetEmitEnabled(true)
	case http2.FrameContinuation:
		if !c.block.open {
			c.breakf(stream, "a %v frame without a header block", kind)
			return
		}
	}
	c.block.broken = c.block.broken || len(c.frame)-frameHeaderLen > http2FrameLen
	if c.block.length += len(payload); c.block.length > maxBlockBytes {
		c.breakf(stream, "a header block has more than %d MiB", maxBlockBytes>>20)
		return
	}
	_, err := c.decode.Write(payload)
	end := flags.Has(http2.FlagHeadersEndHeaders) // the same bit in CONTINUATION
	if err == nil && end {
		err = c.decode.Close()
	}
	switch {
	case err != nil:
		c.breakf(stream, "a header block cannot be decoded: %w", err)
	case end:
		c.answer()
		clear(c.block.fields)
		c.block.open = false
	}
}

// headersFragment returns the part of the header block that a HEADERS frame carries (RFC 9113,
// section 6.2).
func headersFragment(flags http2.Flags, payload []byte) ([]byte, error) {
	padding := 0
	if flags.Has(http2.FlagHeadersPadded) {
		if len(payload) == 0 {
			return nil, errors.New("HEADERS without their padding")
		}
		padding, payload = int(payload[0]), payload[1:]
	}
	if flags.Has(http2.FlagHeadersPriority) {
		const priority = 5
		if len(payload) < priority {
			return nil, errors.New("HEADERS without their priority")
		}
		payload = payload[priority:]
	}
	if padding > len(payload) {
		return nil, errors.New("HEADERS with more padding than bytes")
	}
	return payload[:len(payload)-padding], nil
}

// field adds a field to the block, unless the block is already too large.
func (c *answerConn) field(f hpack.HeaderField) {
	b := &c.block
	if b.size += int(f.Size()); b.size > maxHeaderBytes {
		b.tooLarge = true
		c.decode.SetEmitEnabled(false) // the decoder still updates its table
		return
	}
	if f.Name == answerField {
		return
	}
	f.Sensitive = true // the encoder then leaves its table alone
	b.fields = append(b.fields, f)
}

// answer rewrites a complete block and passes it on.
func (c *answerConn) answer() {
	b := &c.block
	delete(c.http, b.stream)
	if b.broken {
		c.endBroken(b.stream)
		return
	}
	contentType, known := b.contentType()
	isGRPC := strings.HasPrefix(contentType, "application/grpc")
	switch {
	case b.tooLarge && known && !isGRPC: // a page, for which the dropped fields do not matter
	case b.tooLarge && b.end:
		c.appendEnd(b.stream, answerTooLarge)
		return
	case b.tooLarge:
		c.appendBlock(b.stream, false, grpcFields(answerTooLarge))
		return
	case b.end, isGRPC && b.hasStatus():
		// Proxies such as Go's httputil.ReverseProxy send the end of a trailers-only answer as a
		// separate frame.
		c.appendBlock(b.stream, true, b.withEnd())
		return
	}
	if !isGRPC && !b.end && !b.informational() && len(c.http) < maxHTTPAnswers {
		c.http[b.stream] = struct{}{}
	}
	c.appendBlock(b.stream, b.end, b.fields)
}

// hasStatus reports whether the block holds a grpc-status.
func (b *headerBlock) hasStatus() bool {
	return slices.ContainsFunc(b.fields, func(f hpack.HeaderField) bool { return f.Name == "grpc-status" })
}

// withEnd returns the fields of a block that ends its stream, with the mark added.
func (b *headerBlock) withEnd() []hpack.HeaderField {
	mark := answerNoStatus
	kept := b.fields[:0]
	for _, f := range b.fields {
		if f.Name == "grpc-status" {
			code, err := strconv.ParseInt(f.Value, 10, 32)
			if err != nil {
				continue // grpc-go would report it as an error of its own
			}
			mark = answerOwn + strconv.FormatInt(code, 10)
		}
		kept = append(kept, f)
	}
	if mark == answerNoStatus {
		kept = append(kept, sensitive("grpc-status", madeUpStatus))
	}
	return append(kept, sensitive(answerField, mark))
}

// contentType returns the content type and whether there is one.
func (b *headerBlock) contentType() (string, bool) {
	for _, f := range b.fields {
		if f.Name == "content-type" {
			return f.Value, true
		}
	}
	return "", false
}

// informational reports whether more headers follow (RFC 9110, section 15.2).
func (b *headerBlock) informational() bool {
	return slices.ContainsFunc(b.fields, func(f hpack.HeaderField) bool {
		return f.Name == ":status" && strings.HasPrefix(f.Value, "1")
	})
}

// reset passes on an RST_STREAM frame or replaces it by trailers.
func (c *answerConn) reset(stream uint32, payload []byte) {
	_, isHTTP := c.http[stream]
	delete(c.http, stream)
	const codeLen = 4
	if len(payload) != codeLen {
		c.appendEnd(stream, answerReset+"of a wrong length")
		return
	}
	if isHTTP {
		c.out = append(c.out, c.frame...) // ends the RPC without a status
		return
	}
	code := http2.ErrCode(binary.BigEndian.Uint32(payload))
	if code == http2.ErrCodeRefusedStream {
		c.out = append(c.out, c.frame...) // grpc-go then opens the RPC again
		return
	}
	c.appendEnd(stream, answerReset+code.String())
}

// appendEnd ends a stream with trailers whose status is not the backend's.
func (c *answerConn) appendEnd(stream uint32, mark string) {
	c.appendBlock(stream, true, append(grpcFields(mark), sensitive("grpc-status", madeUpStatus)))
}

// grpcFields returns the fewest fields that grpc-go accepts as gRPC, and a mark.
func grpcFields(mark string) []hpack.HeaderField {
	return []hpack.HeaderField{
		sensitive(":status", "200"), sensitive("content-type", "application/grpc"), sensitive(answerField, mark),
	}
}

func sensitive(name, value string) hpack.HeaderField {
	return hpack.HeaderField{Name: name, Value: value, Sensitive: true}
}

// appendBlock adds a header block to out.
func (c *answerConn) appendBlock(stream uint32, end bool, fields []hpack.HeaderField) {
	c.coded = reuse(c.coded)
	for _, f := range fields {
		_ = c.encode.WriteField(f) // to memory
	}
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags |= http2.FlagHeadersEndStream
	}
	for rest := []byte(c.coded); ; kind, flags = http2.FrameContinuation, 0 {
		n := min(len(rest), http2FrameLen)
		if n == len(rest) {
			flags |= http2.FlagHeadersEndHeaders
		}
		c.appendFrame(kind, flags, stream, rest[:n])
		if rest = rest[n:]; len(rest) == 0 {
			return
		}
	}
}

// appendFrame adds a frame to out.
func (c *answerConn) appendFrame(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) {
	n := len(payload)
	c.out = append(c.out, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags)) //nolint:gosec // n has 24 bits at most
	c.out = binary.BigEndian.AppendUint32(c.out, stream)
	c.out = append(c.out, payload...)
}
