package config

import (
	"errors"
	"fmt"
	"strings"
)

// lookupFunc finds the value of an environment variable, like os.LookupEnv.
type lookupFunc func(name string) (value string, ok bool)

var (
	errVariableOpen = errors.New(`"${" without its "}"; write ${NAME}, or $$ for a literal $`)
	errVariableName = errors.New(
		"a variable's name is letters, digits and _; write ${NAME} or ${NAME:-default}, or $$ for a literal $")
	errVariableBare = errors.New(`"$" stands alone; write ${NAME} for a variable, or $$ for a literal $`)
)

// expand replaces ${NAME} and ${NAME:-default} in text by the variable's value, and $$ by $. The
// default replaces an unset or empty variable, literally. Replaced text is not expanded again. The
// second result reports whether text had a variable: such a text may be a secret and must not be
// printed.
func expand(text string, lookup lookupFunc) (string, bool, error) {
	var b strings.Builder
	expanded := false
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), expanded, nil
		}

		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "{"):
			inside, rest, closed := strings.Cut(after[1:], "}")
			if !closed {
				return "", false, errVariableOpen
			}
			value, err := variable(inside, lookup)
			if err != nil {
				return "", false, err
			}
			b.WriteString(value)
			text, expanded = rest, true
		default:
			return "", false, errVariableBare
		}
	}
}

// variable returns the value for the text between ${ and }.
func variable(inside string, lookup lookupFunc) (string, error) {
	name, fallback, hasFallback := strings.Cut(inside, ":-")
	if !isVariable(name) {
		return "", errVariableName
	}

	value, ok := "", false
	if lookup != nil {
		value, ok = lookup(name)
	}
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("the environment variable %s is not set; set it, or give a default: ${%s:-…}", name, name)
	default:
		return value, nil
	}
}

func isVariable(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '_' {
			return false
		}
	}
	return name != "" && (name[0] < '0' || name[0] > '9')
}
