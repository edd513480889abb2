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

// maxLine bounds one line, in bytes, so that an endless stream fails the test instead of the machine.
const maxLine = 64 << 20

var errLongLine = errors.New("ssetest: a line is too long")

// byteOrderMark is dropped from the start of a stream by the standard's decoding.
var byteOrderMark = []byte("\xEF\xBB\xBF")

// Parser reads an event stream by section 9.2.6 of the standard, "interpreting an event stream". One
// goroutine may use it.
type Parser struct {
	r      *bufio.Reader
	begun  bool // the first line has been read
	most   int  // maximum bytes of a line
	skipLF bool // after a CR, a LF belongs to the same line end

	// check sees each line before it is interpreted; an error ends the parsing. ending is "\n", "\r",
	// or "" for an unfinished line at the end of the body.
	check func(line []byte, ending string) error

	// The block being read.
	data     []byte
	name     string
	hasID    bool
	retry    time.Duration
	hasRetry bool
	raw      []byte

	// State that outlives a block.
	idBuffer  string // the standard's last event id buffer
	lastID    string // its value at the newest block
	reconnect time.Duration
	hasTime   bool
}

// NewParser returns a parser of the stream in r.
func NewParser(r io.Reader) *Parser {
	return &Parser{r: bufio.NewReader(r), most: maxLine, check: func([]byte, string) error { return nil }}
}

// LastEventID returns the id after the newest finished block, including blocks without an event.
func (p *Parser) LastEventID() string { return p.lastID }

// ReconnectionTime returns the newest retry, and whether there was one.
func (p *Parser) ReconnectionTime() (time.Duration, bool) { return p.reconnect, p.hasTime }

// Next returns the next dispatched event. At the end of the body it discards an incomplete block and
// returns io.EOF. It returns an error of the reader unchanged.
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
		case err != nil: // an unfinished line is discarded
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

// readLine reads up to a CR, a LF or a CR LF. It never waits for the byte after a CR, which may not
// come for an hour.
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

// takePlain appends the buffered part of the line, without its end. Reading long lines byte by byte
// would take milliseconds under the race detector.
func (p *Parser) takePlain(line []byte) []byte {
	buffered, _ := p.r.Peek(p.r.Buffered()) // cannot fail
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
	_, _ = p.r.Discard(len(plain)) // cannot fail
	return line
}

// interpret interprets one non-empty line.
func (p *Parser) interpret(line []byte) {
	if !p.begun {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}

	p.begun = true

	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))

	switch string(name) {
	case "": // a comment, or only the byte order mark
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

// dispatch ends a block and reports whether it is an event. A block's id counts in both cases.
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

// milliseconds parses a retry value. The standard ignores values with other characters than ASCII
// digits. Values beyond a Duration are capped.
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
