package ssetest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
)

// The words that control events may use, as docs/events.md lists them.
var (
	gapReasons   = []string{"expired", "forgotten", "restarted", "lagged", "upstream", "untranscodable"}
	retryReasons = []string{"shed", "drain", "reload", "max_age", "upstream", "lagged", "idle"}

	// statusName is a code as google.rpc.Code spells it; one of the backend's own is its number.
	statusName = regexp.MustCompile(`^(CANCELLED|UNKNOWN|INVALID_ARGUMENT|DEADLINE_EXCEEDED|NOT_FOUND|ALREADY_EXISTS|` +
		`PERMISSION_DENIED|UNAUTHENTICATED|RESOURCE_EXHAUSTED|FAILED_PRECONDITION|ABORTED|OUT_OF_RANGE|UNIMPLEMENTED|` +
		`INTERNAL|UNAVAILABLE|DATA_LOSS|-?[1-9][0-9]*)$`)
)

// shape is the JSON object of a control event: what each key is to hold.
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

// control holds a control event to its row of the table.
func (c *contract) control(name string, b *block) error {
	data, id := b.get("data"), b.get("id")

	want, ok := shapes[name]
	if !ok {
		return violation([]byte(name), "names that begin with stream- are control events, and this is none of them")
	}

	if err := want.holds(name, data); err != nil {
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

// final holds the last words to their id: that of the last block, marked as final.
func (c *contract) final(name, id string) error {
	last := c.lastID
	if told := finalID.FindStringSubmatch(last); told != nil {
		last = told[1]
	}

	if !c.mode.IDs {
		last = ""
	}

	if told := finalID.FindStringSubmatch(id); told == nil || told[1] != "" && told[1] != last {
		return violation([]byte(id), "%s carries the final id of %q", name, last)
	}

	return nil
}

// retryBlock holds stream-retry to its retry, and the status of the RPC to its reason.
func retryBlock(b *block) error {
	if !b.has("retry") {
		return violation(nil, "stream-retry carries a retry")
	}

	var said map[string]json.RawMessage
	if err := json.Unmarshal([]byte(b.get("data")), &said); err != nil {
		return violation([]byte(b.get("data")), "data is JSON: %v", err)
	}

	_, code := said["code"]
	_, status := said["status"]
	_, message := said["message"]

	if code != status || message && !code || code && string(said["reason"]) != `"upstream"` {
		return violation([]byte(b.get("data")), "stream-retry names code and status together, and only of reason upstream")
	}

	return nil
}

// staleness holds stream-stale and stream-live to their turns.
func (c *contract) staleness(name string) error {
	stale := name == "stream-stale"
	if stale == c.stale {
		return violation([]byte(name), "stream-stale and stream-live take turns")
	}

	c.stale = stale

	return nil
}

// holds compares data with the shape.
func (s shape) holds(name, data string) error {
	if err := compactJSON(data); err != nil {
		return err
	}

	var said map[string]json.RawMessage
	if err := json.Unmarshal([]byte(data), &said); err != nil || said == nil {
		return violation([]byte(data), "the data of %s is an object", name)
	}

	for _, key := range slices.Sorted(maps.Keys(s.required)) {
		if value, ok := said[key]; !ok || !s.required[key](value) {
			return violation([]byte(data), "the data of %s has a proper %q", name, key)
		}
	}

	for _, key := range slices.Sorted(maps.Keys(said)) {
		if _, ok := s.required[key]; ok {
			continue
		}

		if holds, ok := s.optional[key]; !ok || !holds(said[key]) {
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

// isCode is a gRPC code other than OK, as a number.
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

// isObjects is a list of Any messages as JSON.
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
