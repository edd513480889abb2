package ssetest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
)

// The words of control events in docs/events.md.
var (
	gapReasons   = []string{"expired", "forgotten", "restarted", "lagged", "upstream", "untranscodable"}
	retryReasons = []string{"shed", "drain", "reload", "max_age", "upstream", "lagged", "idle", "expired", "auth"}

	// statusName matches a code's name in google.rpc.Code, or the number of a code that is not in it.
	statusName = regexp.MustCompile(`^(CANCELLED|UNKNOWN|INVALID_ARGUMENT|DEADLINE_EXCEEDED|NOT_FOUND|ALREADY_EXISTS|` +
		`PERMISSION_DENIED|UNAUTHENTICATED|RESOURCE_EXHAUSTED|FAILED_PRECONDITION|ABORTED|OUT_OF_RANGE|UNIMPLEMENTED|` +
		`INTERNAL|UNAVAILABLE|DATA_LOSS|-?[1-9][0-9]*)$`)
)

// shape is the JSON object of a control event, with a check for each key.
type shape struct {
	required, optional map[string]func(json.RawMessage) bool
}

type check = func(json.RawMessage) bool

// shapes are the data of the control events.
var shapes = map[string]shape{
	"stream-open": {},
	"stream-live": {},
	"stream-gap": {required: map[string]check{
		"reason": oneOf(gapReasons), "lastEventId": isString, "resumedFrom": isString,
	}},
	"stream-stale": {required: map[string]check{"code": isCode, "status": isStatusName}},
	"stream-retry": {
		required: map[string]check{"reason": oneOf(retryReasons)},
		optional: map[string]check{"code": isCode, "status": isStatusName, "message": isString},
	},
	"stream-end": {optional: map[string]check{"trailers": isStringMap}},
	"stream-error": {
		required: map[string]check{"code": isCode, "status": isStatusName},
		optional: map[string]check{"message": isString, "details": isObjects, "trailers": isStringMap},
	},
}

// control checks a control event against its shape and its rules.
func (c *contract) control(name string, b *block) error {
	data, id := b.get("data"), b.get("id")

	want, ok := shapes[name]
	if !ok {
		return violation([]byte(name), "names that begin with stream- are control events, and this is none of them")
	}

	if err := want.matches(name, data); err != nil {
		return err
	}

	switch name {
	case "stream-open":
		return c.streamOpen(b)
	case "stream-gap":
		if (id != "") != c.mode.IDs || isFinal(id) {
			return violation([]byte(id), "stream-gap carries the position it goes on from, on a route with ids")
		}
		return nil
	case "stream-end", "stream-error":
		c.closed = name
		return c.final(name, id)
	}

	if id != "" {
		return violation([]byte(id), "%s carries no id", name)
	}

	switch name {
	case "stream-retry":
		c.closed = name
		return retryBlock(b)
	case "stream-stale", "stream-live":
		return c.staleness(name)
	}
	return nil
}

func (c *contract) streamOpen(b *block) error {
	switch {
	case !c.mode.IDs:
		return violation(nil, "a route without ids has no stream-open")
	case c.blocks > 0:
		return violation(nil, "stream-open is the first block and no other")
	case !b.has("retry") || !b.has("id"):
		return violation(nil, "stream-open carries retry and id")
	}
	return nil
}

// final checks the id of the last block: the previous block's id, marked as final.
func (c *contract) final(name, id string) error {
	last := c.lastID
	if match := finalID.FindStringSubmatch(last); match != nil {
		last = match[1]
	}

	if !c.mode.IDs {
		last = ""
	}

	if match := finalID.FindStringSubmatch(id); match == nil || match[1] != "" && match[1] != last {
		return violation([]byte(id), "%s carries the final id of %q", name, last)
	}
	return nil
}

// retryBlock checks that stream-retry has a retry, and the RPC's status only with the reason upstream.
func retryBlock(b *block) error {
	if !b.has("retry") {
		return violation(nil, "stream-retry carries a retry")
	}

	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(b.get("data")), &fields); err != nil {
		return violation([]byte(b.get("data")), "data is JSON: %v", err)
	}

	_, code := fields["code"]
	_, status := fields["status"]
	_, message := fields["message"]

	if code != status || message && !code || code && string(fields["reason"]) != `"upstream"` {
		return violation([]byte(b.get("data")), "stream-retry names code and status together, and only of reason upstream")
	}
	return nil
}

// staleness checks that stream-stale and stream-live alternate.
func (c *contract) staleness(name string) error {
	stale := name == "stream-stale"
	if stale == c.stale {
		return violation([]byte(name), "stream-stale and stream-live take turns")
	}

	c.stale = stale
	return nil
}

// matches checks data against the shape.
func (s shape) matches(name, data string) error {
	if err := compactJSON(data); err != nil {
		return err
	}

	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(data), &fields); err != nil || fields == nil {
		return violation([]byte(data), "the data of %s is an object", name)
	}

	for _, key := range slices.Sorted(maps.Keys(s.required)) {
		if value, ok := fields[key]; !ok || !s.required[key](value) {
			return violation([]byte(data), "the data of %s has a proper %q", name, key)
		}
	}

	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if _, ok := s.required[key]; ok {
			continue
		}

		if valid, ok := s.optional[key]; !ok || !valid(fields[key]) {
			return violation([]byte(data), "the data of %s has no such %q", name, key)
		}
	}
	return nil
}

func isString(raw json.RawMessage) bool {
	var s *string
	return json.Unmarshal(raw, &s) == nil && s != nil
}

func oneOf(words []string) check {
	return func(raw json.RawMessage) bool {
		var s string
		return json.Unmarshal(raw, &s) == nil && slices.Contains(words, s)
	}
}

func isStatusName(raw json.RawMessage) bool {
	var s string
	return json.Unmarshal(raw, &s) == nil && statusName.MatchString(s)
}

// isCode reports whether raw is the number of a gRPC code other than OK.
func isCode(raw json.RawMessage) bool {
	var n int32
	return json.Unmarshal(raw, &n) == nil && n != 0
}

func isStringMap(raw json.RawMessage) bool {
	var m map[string]*string
	if json.Unmarshal(raw, &m) != nil || len(m) == 0 {
		return false
	}

	for _, value := range m {
		if value == nil {
			return false
		}
	}
	return true
}

// isObjects reports whether raw is a list of Any messages in JSON.
func isObjects(raw json.RawMessage) bool {
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return false
	}

	for _, detail := range list {
		if !isString(detail["@type"]) {
			return false
		}
	}
	return true
}
