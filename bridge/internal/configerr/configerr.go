// Package configerr creates, joins and walks the errors of a configuration.
package configerr

import (
	"errors"
	"fmt"

	"github.com/ssebridge/ssebridge/bridge/config"
)

// New returns an error at a path of the configuration, which is formatted from format and
// args.
func New(message, format string, args ...any) *config.Error {
	return &config.Error{Path: fmt.Sprintf(format, args...), Message: message}
}

// AtRoute prefixes the paths of errors within a route by the route's index in the
// configuration.
func AtRoute(index int, err error) error {
	var found config.Errors
	for _, part := range Parts(err) {
		one := new(config.Error)
		if !errors.As(part, &one) {
			return part
		}
		found = append(found, New(one.Message, "routes[%d].%s", index, one.Path))
	}
	return Join(found)
}

// Join joins config.Errors, and returns nil if there are none. The first error of another
// type is returned alone.
func Join(all ...error) error {
	var found config.Errors
	for _, err := range all {
		for _, part := range Parts(err) {
			one := new(config.Error)
			if !errors.As(part, &one) {
				return part
			}
			found = append(found, one)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// Add joins err and further errors, except for those at a path where err has an error already.
func Add(err, further error) error {
	wrong := map[string]bool{}
	for _, one := range In(err) {
		wrong[one.Path] = true
	}
	all := []error{err}
	for _, part := range Parts(further) {
		if one := new(config.Error); errors.As(part, &one) && wrong[one.Path] {
			continue
		}
		all = append(all, part)
	}
	return Join(all...)
}

// Parts returns the leaves of a joined error.
func Parts(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var leaves []error
	for _, part := range joined.Unwrap() {
		leaves = append(leaves, Parts(part)...)
	}
	return leaves
}

// Copy returns an error that later changes of err do not reach: config.Errors are copied,
// because a caller may give them positions.
func Copy(err error) error {
	found := In(err)
	if len(found) == 0 {
		return err
	}
	copies := make(config.Errors, len(found))
	for i, one := range found {
		copies[i] = new(*one)
	}
	return copies
}

// In returns all config.Errors in the tree of err.
func In(err error) config.Errors {
	if one, ok := err.(*config.Error); ok { //nolint:errorlint // walks the tree node by node, as errors.As does
		return config.Errors{one}
	}
	var found config.Errors
	switch tree := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		found = In(tree.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range tree.Unwrap() {
			found = append(found, In(part)...)
		}
	}
	return found
}
