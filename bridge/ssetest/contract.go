package ssetest

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the wire contract, in bytes.
const (
	maxID       = 4 << 10
	maxName     = 64
	maxComments = 16 << 10
)

// finalID matches the id of a completed stream: the last id, a checksum and a mark.
var finalID = regexp.MustCompile(`^(.*)~[A-Z2-7]{3}~end$`)

func isFinal(id string) bool { return finalID.MatchString(id) }

// fieldOrder is the order of the lines in a block. Each occurs at most once.
var fieldOrder = []string{"retry", "id", "event", "data"}

// block is one block with one value per field.
type block struct {
	fields []string // the names, in order
	values [4]string
}

func (b *block) has(name string) bool { return slices.Contains(b.fields, name) }

func (b *block) get(name string) string { return b.values[slices.Index(fieldOrder, name)] }

// contract checks one stream against docs/events.md. It reads and interprets lines itself, strictly, so
// that its result can be compared with the forgiving Parser's.
//
//	with ids      stream-open | stream-gap    {event | control | comment…}    stream-retry | stream-end | stream-error
//	without       : ok  retry: n              {event | control | comment…}    stream-retry | stream-end | stream-error
type contract struct {
	mode     Mode
	lines    int   // lines read
	comments int   // bytes of consecutive comments
	open     block // being read
	last     block // the newest finished block
	blocks   int   // finished blocks
	lastID   string
	closed   string // the control event that ended the stream
	stale    bool   // stream-stale came after the last stream-live
}

// line checks one line. Its error is a *Violation.
func (c *contract) line(line []byte, ending string) error {
	c.lines++

	if err := c.encoding(line, ending); err != nil {
		return err
	}

	switch {
	case c.closed != "":
		return violation(line, "nothing comes after %s", c.closed)
	case !c.mode.IDs && c.lines <= 2:
		return c.prelude(line)
	case len(line) == 0:
		return c.finish()
	case line[0] == ':':
		return c.comment(line)
	default:
		return c.field(line)
	}
}

// encoding checks the rules that apply to every line.
func (c *contract) encoding(line []byte, ending string) error {
	switch {
	case ending == "":
		return violation(line, "a response ends between two blocks, not inside a line")
	case ending != "\n" || bytes.IndexByte(line, '\r') >= 0:
		return violation(line, "lines end in LF, never in CR")
	case c.lines == 1 && bytes.HasPrefix(line, byteOrderMark):
		return violation(line, "a stream has no byte order mark")
	case !utf8.Valid(line):
		return violation(line, "a stream is valid UTF-8")
	case bytes.IndexByte(line, 0) >= 0:
		return violation(line, "a stream has no NUL")
	}
	return nil
}

// prelude checks the first two lines of a route without ids: a comment and a reconnection time, without
// an empty line.
func (c *contract) prelude(line []byte) error {
	if c.lines == 1 && string(line) != ": ok" {
		return violation(line, `a stream without ids begins with ": ok"`)
	}

	if c.lines == 2 {
		value, ok := strings.CutPrefix(string(line), "retry: ")
		if _, number := milliseconds(value); !ok || !number {
			return violation(line, `the second line of a stream without ids is "retry: <milliseconds>"`)
		}
	}
	return nil
}

func (c *contract) comment(line []byte) error {
	switch {
	case len(c.open.fields) > 0:
		return violation(line, "nothing is interleaved into a block, a comment neither")
	case c.mode.IDs && c.blocks == 0:
		return violation(line, "a stream with ids begins with stream-open or stream-gap, not with a comment")
	case string(line) != ":":
		return violation(line, `a heartbeat is the line ":" and nothing else`)
	}

	if c.comments += len(line) + 1; c.comments > maxComments {
		return violation(line, "after %d bytes of comments in a row the client is asked to reconnect", maxComments)
	}

	if c.mode.OnHeartbeat != nil {
		c.mode.OnHeartbeat()
	}
	return nil
}

// field checks a line of a block.
func (c *contract) field(line []byte) error {
	name, value, ok := strings.Cut(string(line), ": ")
	place := slices.Index(fieldOrder, name)

	switch {
	case place < 0 || !ok:
		return violation(line, `a line is "retry: ", "id: ", "event: " or "data: " and a value`)
	case c.open.has(name):
		return violation(line, "a block has one line of %s", name)
	case len(c.open.fields) > 0 && place < slices.Index(fieldOrder, c.open.fields[len(c.open.fields)-1]):
		return violation(line, "the lines of a block come in the order retry, id, event, data")
	case value == "":
		return violation(line, "a line of %s has a value", name)
	}

	c.open.fields = append(c.open.fields, name)
	c.open.values[place] = value

	switch name {
	case "retry":
		if _, ok := milliseconds(value); !ok {
			return violation(line, "retry is digits")
		}
	case "id":
		return checkID(line, value)
	case "event":
		return checkName(line, value)
	}
	return nil
}

func checkID(line []byte, id string) error {
	if len(id) > maxID {
		return violation(line, "an id has at most %d bytes, this one %d", maxID, len(id))
	}

	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return violation(line, "an id is printable ASCII")
		}
	}

	if strings.Trim(id, " ") != id {
		return violation(line, "an id has no space at its edges")
	}
	return nil
}

// escaped reports whether each percent sign of an id begins an escape. The rule applies only to the ids
// of messages, which the bridge spells itself; stream-open may repeat any id of a client.
func escaped(id string) bool {
	for i := range len(id) {
		if id[i] == '%' && (i+2 >= len(id) || !isHex(id[i+1]) || !isHex(id[i+2])) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func checkName(line []byte, name string) error {
	switch {
	case name == "error" || name == "open":
		return violation(line, "no event is called %s: it would fire the page's on%s", name, name)
	case len(name) > maxName:
		return violation(line, "an event name has at most %d bytes, this one %d", maxName, len(name))
	}
	return nil
}

// finish checks the empty line that ends a block.
func (c *contract) finish() error {
	b := c.open

	switch {
	case len(b.fields) == 0:
		return violation(nil, "an empty line ends a block; after a comment, or alone, some clients take it for a message")
	case !b.has("data"):
		return violation(nil, "a block has data; one of only %s makes messages of nothing in some clients", strings.Join(b.fields, " and "))
	}

	if err := c.role(&b); err != nil {
		return err
	}

	if b.has("id") {
		c.lastID = b.get("id")
	}

	c.blocks++
	c.comments = 0
	c.last, c.open = b, block{}
	return nil
}

// role checks a block as a control event, a heartbeat or a message.
func (c *contract) role(b *block) error {
	name := b.get("event")

	if c.mode.IDs && c.blocks == 0 && name != "stream-open" && name != "stream-gap" {
		return violation([]byte(name), "the first block of a stream with ids is stream-open or stream-gap: another may wipe the client's id")
	}

	if b.has("retry") && name != "stream-retry" && name != "stream-open" && (!c.mode.IDs || c.blocks > 0) {
		return violation([]byte(name), "retry belongs into the first block and into stream-retry")
	}

	switch {
	case strings.HasPrefix(name, "stream-"):
		return c.control(name, b)
	case name == "heartbeat":
		return c.heartbeat(b)
	default:
		return c.message(b)
	}
}

func (c *contract) heartbeat(b *block) error {
	if b.has("id") || b.get("data") != "{}" {
		return violation([]byte(b.get("data")), "a heartbeat event has no id, and the data {}")
	}
	return nil
}

func (c *contract) message(b *block) error {
	data := b.get("data")

	if slices.Contains(c.mode.Literals, data) {
		if b.has("event") || b.has("id") && !c.mode.IDs {
			return violation([]byte(data), "a literal has no name, and an id only where there are ids")
		}
		return nil
	}

	switch id := b.get("id"); {
	case c.mode.IDs && id == "":
		return violation([]byte(data), "id and data are in the same block")
	case !c.mode.IDs && id != "":
		return violation([]byte(id), "a message on a route without ids has none")
	case isFinal(id):
		return violation([]byte(id), "the id of a message is not final")
	case !escaped(id):
		return violation([]byte(id), "a percent sign in the id of a message begins an escape")
	}
	return compactJSON(data)
}

// compactJSON checks that data is JSON without spaces between tokens.
func compactJSON(data string) error {
	var compacted bytes.Buffer
	if err := json.Compact(&compacted, []byte(data)); err != nil {
		return violation([]byte(data), "data is JSON: %v", err)
	}

	if compacted.String() != data {
		return violation([]byte(data), "JSON is compact")
	}
	return nil
}

// agrees compares the Parser's result for the newest block with the contract's own.
func (c *contract) agrees(event Event) error {
	if event.Name != c.last.get("event") || event.Data != c.last.get("data") || event.ID != c.lastID ||
		event.HasID != c.last.has("id") {
		return violation(event.Raw, "a block reads the same to every client")
	}
	return nil
}

// end checks the clean end of the body.
func (c *contract) end() error {
	switch {
	case len(c.open.fields) > 0:
		return violation(nil, "a response never ends in an open block")
	case c.closed == "":
		return violation(nil, "a response is closed after stream-retry, stream-end or stream-error, or it is cut")
	}
	return io.EOF
}
