package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// A value from the environment may be a secret. Errors therefore contain no values, and snippets show
// the line as written, with the variable's name.

// expanded returns the text of a scalar with its variables expanded, and whether it had any. ok is
// false if the scalar was refused.
func (d *decoder) expanded(n *node, at place) (text string, fromEnv, ok bool) {
	text, fromEnv, err := expand(n.text, d.lookup)
	if err != nil {
		d.fail(d.shown(n, at), at.path, err.Error())
		return "", false, false
	}
	return text, fromEnv, true
}

// text decodes n as a string. It refuses unquoted values of other YAML types, so that `no` and 1.10
// keep their text.
func (d *decoder) text(n *node, at place) string {
	switch n.kind {
	case kindString:
		text, _, _ := d.expanded(n, at)
		return text
	case kindBool, kindInt, kindFloat:
		d.fail(d.shown(n, at), at.path, insteadOf(n, at))
	default:
		d.fail(d.shown(n, at), at.path, "must be a string, not "+n.kind.String())
	}
	return ""
}

// insteadOf returns the message for a number or a boolean in place of a string. It suggests quotes only
// if the key accepts any string.
func insteadOf(n *node, at place) string {
	number := n.kind == kindInt
	switch pattern := at.pattern; {
	case number && (pattern == "listen" || pattern == "admin"):
		return fmt.Sprintf(`must be a string: "127.0.0.1:%[1]s", or ":%[1]s" for every address`, n.text)
	case pattern == "admin":
		return `must be a string, such as 127.0.0.1:9901, or "" for none`
	case number && pattern == "upstreams.*.target":
		return fmt.Sprintf(`must be a string: "127.0.0.1:%s"`, n.text)
	case strings.HasSuffix(pattern, ".codes[]"):
		names := codeNames()
		if code, err := strconv.Atoi(n.text); err == nil && code > 0 && code <= len(names) {
			return "must be the name of a gRPC code: " + names[code-1] // 0 is OK
		}
		return "must be the name of a gRPC code, such as UNAVAILABLE"
	}
	return "must be a string, not " + n.kind.String() + "; write it in quotes"
}

// word returns the text to parse as a bool, a number, a duration or a size: a plain scalar, or a text
// from the environment.
func (d *decoder) word(n *node, at place, want string) (string, bool) {
	switch n.kind {
	case kindBool, kindInt, kindFloat:
		return n.text, true
	case kindString:
		text, fromEnv, ok := d.expanded(n, at)
		if ok && !n.plain && !fromEnv {
			d.fail(d.shown(n, at), at.path, "must be "+want+", without quotes")
			return "", false
		}
		return text, ok
	default:
		d.fail(d.shown(n, at), at.path, "must be "+want+", not "+n.kind.String())
		return "", false
	}
}

func (d *decoder) boolean(n *node, at place) bool {
	const want = "true or false"
	switch word, ok := d.word(n, at, want); {
	case !ok:
	case word == "true":
		return true
	case word != "false":
		message := "must be " + want
		if now := renamedValue(at.pattern, word); now != "" {
			message += ": " + word + " is now " + now
		}
		d.fail(d.shown(n, at), at.path, message)
	}
	return false
}

// number decodes a whole decimal number that fits into the given bits.
func (d *decoder) number(n *node, at place, bits int) int64 {
	const want = "a whole number"
	word, ok := d.word(n, at, want)
	if !ok {
		return 0
	}
	number, err := strconv.ParseInt(word, 10, bits)
	if err != nil || hasLeadingZero(word) {
		d.fail(d.shown(n, at), at.path, "must be "+want+" in decimal digits")
		return 0
	}
	return number
}

// hasLeadingZero detects numbers such as 010, which YAML 1.1 reads as eight.
func hasLeadingZero(digits string) bool {
	return len(digits) > 1 && digits[0] == '0'
}

// decodeNode decodes 250ms, 15s, 5m.
func (v *Duration) decodeNode(d *decoder, n *node, at place) {
	word, ok := d.word(n, at, errDuration.Error())
	if !ok {
		return
	}
	parsed, err := ParseDuration(word)
	if err != nil {
		d.fail(d.shown(n, at), at.path, "must be "+err.Error())
		return
	}
	*v = parsed
}

// decodeNode decodes 64KiB, 8MiB.
func (v *Size) decodeNode(d *decoder, n *node, at place) {
	word, ok := d.word(n, at, errSize.Error())
	if !ok {
		return
	}
	parsed, err := ParseSize(word)
	if err != nil || hasLeadingZero(word) {
		d.fail(d.shown(n, at), at.path, "must be "+errSize.Error())
		return
	}
	*v = parsed
}

// decodeNode decodes auto or a number from 1.
func (v *Connections) decodeNode(d *decoder, n *node, at place) {
	const want = "auto or a number from 1"
	word, ok := d.word(n, at, want)
	if !ok || word == "auto" {
		return
	}
	number, err := strconv.ParseInt(word, 10, 32)
	if err != nil || number < 1 || hasLeadingZero(word) {
		d.fail(d.shown(n, at), at.path, "must be "+want)
		return
	}
	*v = Connections(number)
}

// constant decodes a value of request.set or resume.set, which may be any JSON: nil, a string, bool,
// int64, uint64 or float64, or a []any or map[string]any of those. It returns nil for a refused value.
// A value from the environment is a string, which proto3 JSON accepts for numbers too.
func (d *decoder) constant(n *node, at place) any {
	switch n.kind {
	case kindBool:
		return d.boolean(n, at)
	case kindInt:
		if i, err := strconv.ParseInt(n.text, 10, 64); err == nil && !hasLeadingZero(n.text) {
			return i
		}
		if u, err := strconv.ParseUint(n.text, 10, 64); err == nil && !hasLeadingZero(n.text) {
			return u
		}
		d.fail(d.shown(n, at), at.path, "must be a number of at most 64 bits in decimal digits, or a string in quotes")
	case kindFloat:
		return d.float(n, at)
	case kindString:
		text, _, _ := d.expanded(n, at)
		return text
	case kindRefused:
		d.failed[at.path] = true
	case kindList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			here := at.index(i)
			d.values[here.path] = item.at
			list[i] = d.constant(item, here)
		}
		return list
	case kindMap:
		var mapping map[string]any
		d.decodeMap(n, reflect.ValueOf(&mapping).Elem(), at)
		return mapping
	default: // null
	}
	return nil
}

// float decodes YAML's non-integer numbers.
func (d *decoder) float(n *node, at place) any {
	switch n.text {
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		d.fail(d.shown(n, at), at.path, "must be a number that 64 bits hold")
		return nil
	}
	return f
}
