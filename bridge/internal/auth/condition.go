package auth

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Condition is what a route demands of a claim. One of Equals, In, Has and Exists is set.
type Condition struct {
	Claim  string
	Equals string   // the claim's value; {name} stands for a path variable
	In     []string // the claim has one of these values
	Has    string   // an element of the claim, which is a list, or a word of it, which is a text
	Exists bool     // the claim is there
}

// holds reports whether claims meet the condition. params are the variables of the request's path.
func (c Condition) holds(claims Claims, params map[string]string) bool {
	value, found := claims.Lookup(c.Claim)
	switch {
	case !found || value == nil:
		return false
	case c.Exists:
		return true
	case c.Has != "":
		return has(value, expand(c.Has, params))
	case len(c.In) > 0:
		text, isScalar := scalar(value)
		return isScalar && slices.Contains(c.In, text)
	}
	want := expand(c.Equals, params)
	text, isScalar := scalar(value)
	return isScalar && want != "" && text == want
}

// has reports whether a list has an element, or a text a word.
func has(value any, want string) bool {
	if text, isText := value.(string); isText {
		return slices.Contains(strings.Fields(text), want)
	}
	list, isList := value.([]any)
	return isList && slices.ContainsFunc(list, func(element any) bool {
		text, isScalar := scalar(element)
		return isScalar && text == want
	})
}

// scalar returns the text of a value that is neither a list nor an object.
func scalar(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	default:
		return "", false
	}
}

// expand replaces {name} by the path variable of that name.
func expand(text string, params map[string]string) string {
	if name, isVariable := Variable(text); isVariable {
		return params[name]
	}
	return text
}

// Variable returns the name of the path variable that a value of a condition stands for.
func Variable(text string) (name string, isVariable bool) {
	name, opened := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, opened && closed
}
