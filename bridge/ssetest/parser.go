package ssetest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds one line, in bytes, so that a runaway stream fails a test instead of the machine.
const maxLine = 64 << 20

var errLongLine = errors.New("ssetest: a line is too long")

// byteOrderMark is what the decoding of the standard drops from the beginning of a stream.
var byteOrderMark = []byte("\xEF\xBB\xBF")

// Parser reads an event stream by section 9.2.6 of the standard, "interpreting an event stream". It is used by one
// goroutine.
type Parser struct {
	r      *bufio.Reader
	begun  bool // the first line has been read
	most   int  // bytes of a line
	skipLF bool // the line before ended in CR, so that a LF is its second half

	// check sees each line before it is interpreted; an error ends the parsing. ending is "\n", "\r", or "" for what is
	// left at the end of the body.
	check func(line []byte, ending string) error

	// The block being read.
	data     []byte
	name     string
	hasID    bool
	retry    time.Duration
	hasRetry bool
	raw      []byte

	// State that outlives a block.
	idBuffer  string // the standard's last event id buffer; new with each stream
	lastID    string // what was dispatched of it
	reconnect time.Duration
	hasTime   bool
}

// NewParser returns a parser of the stream that r holds.
func NewParser(r io.Reader) *Parser {
	return &Parser{r: bufio.NewReader(r), most: maxLine, check: func([]byte, string) error { return nil }}
}

// LastEventID is the last event id string: that of the newest finished block, also of one that dispatched nothing.
func (p *Parser) LastEventID() string { return p.lastID }

// ReconnectionTime is the newest retry, and whether there was one.
func (p *Parser) ReconnectionTime() (time.Duration, bool) { return p.reconnect, p.hasTime }

// Next returns the next event that is dispatched. At the end of the body it returns io.EOF, and discards what is
// incomplete; an error of the reader is returned as it is.
func (p *Parser) Next() (Event, error) {
	for {
		line, ending, err := p.readLine()

		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return Event{}, err
		}

		if err := p.check(line, ending); err != nil {
			return Event{}, err
		}

		switch {
		case err != nil: // a line without an end is discarded
			return Event{}, err
		case len(line) > 0:
			p.interpret(line)
		default:
			if event, ok := p.dispatch(); ok {
				return event, nil
			}
		}
	}
}

// readLine reads up to a CR, a LF or a CR LF. It never waits for the byte after a CR: that byte may be an hour away.
func (p *Parser) readLine() (line []byte, ending string, err error) {
	for {
		line = p.takePlain(line)

		c, err := p.r.ReadByte()
		if err != nil {
			return line, "", err
		}

		p.raw = append(p.raw, c)

		switch {
		case c == '\n' && p.skipLF:
			p.skipLF = false
		case c == '\n', c == '\r':
			p.skipLF = c == '\r'

			return line, string(c), nil
		case len(line) == p.most:
			return line, "", errLongLine
		default:
			p.skipLF = false
			line = append(line, c)
		}
	}
}

// takePlain appends what is buffered of the line, but for its end. Long lines are taken at once: byte by byte, the race
// detector makes milliseconds of them.
func (p *Parser) takePlain(line []byte) []byte {
	buffered, _ := p.r.Peek(p.r.Buffered()) // it has so much
	plain := buffered[:min(len(buffered), p.most-len(line))]

	for _, end := range []byte("\r\n") {
		if i := bytes.IndexByte(plain, end); i >= 0 {
			plain = plain[:i]
		}
	}

	if len(plain) == 0 {
		return line
	}

	p.skipLF = false
	p.raw = append(p.raw, plain...)
	line = append(line, plain...)
	_, _ = p.r.Discard(len(plain)) // as many are buffered

	return line
}

// interpret takes one line that is not empty.
func (p *Parser) interpret(line []byte) {
	if !p.begun {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}

	p.begun = true

	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))

	switch string(name) {
	case "": // a comment; or nothing but the byte order mark
	case "event":
		p.name = decode(value)
	case "data":
		p.data = append(append(p.data, decode(value)...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			p.idBuffer, p.hasID = decode(value), true
		}
	case "retry":
		if after, ok := milliseconds(string(value)); ok {
			p.retry, p.hasRetry = after, true
			p.reconnect, p.hasTime = after, true
		}
	}
}

// dispatch ends a block and reports whether it is an event. The id counts even if it is none.
func (p *Parser) dispatch() (Event, bool) {
	p.begun = true
	p.lastID = p.idBuffer

	if len(p.data) == 0 {
		p.name, p.hasID = "", false

		return Event{}, false
	}

	event := Event{
		ID: p.lastID, HasID: p.hasID, Name: p.name, Data: string(p.data[:len(p.data)-1]),
		Retry: p.retry, HasRetry: p.hasRetry, Raw: slices.Clone(p.raw),
	}
	p.data, p.raw = p.data[:0], p.raw[:0]
	p.name, p.hasID, p.retry, p.hasRetry = "", false, 0, false

	return event, true
}

// milliseconds reads a retry value: ASCII digits only, else the field is ignored. A value that no clock can hold
// is cut.
func milliseconds(value string) (time.Duration, bool) {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return 0, false
	}

	const most = math.MaxInt64 / int64(time.Millisecond)

	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n > most {
		n = most
	}

	return time.Duration(n) * time.Millisecond, true
}
