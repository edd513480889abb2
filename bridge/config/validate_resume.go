package config

import "slices"

// resume checks how a route's RPC is opened at a cursor. bindings checks its fields.
func (v *validator) resume(r *Route, route place) {
	if r.Resume == nil {
		return
	}
	at := route.key("resume")
	switch {
	case !v.lacksID(r, route):
	case r.Event.ID != nil:
		v.noEffect(at.path, "resume", `event.id: ""`)
	default:
		v.errorf(at.path, "resume needs event.id: the field of the messages whose value is the cursor")
	}
	switch field := at.key("field").path; {
	case r.Resume.Field == "":
		v.errorf(field, "field is required: the request field that takes the cursor, such as after_seq")
	case !isFieldPath(r.Resume.Field):
		v.errorf(field, "must be the path of a field, such as after_seq or watch.start_revision")
	}
	if r.Resume.Inclusive && r.Resume.Offset != 0 {
		v.errorf(at.key("offset").path,
			"resume.offset starts after the cursor's message, and resume.inclusive: true says that it is sent again; remove one of them")
	}
	v.catchUp(r, at)
	expired := at.key("expired")
	v.codes(r.Resume.Expired.Codes, expired.key("codes"))
	if field := r.Resume.Expired.Field; field != "" && !isFieldPath(field) {
		v.errorf(expired.key("field").path, "must be the path of a field, such as compact_revision")
	}
}

// catchUp checks the bounds on the replay for a returning client.
func (v *validator) catchUp(r *Route, at place) {
	switch events := at.key("max_events").path; {
	case r.Resume.MaxEvents < 0:
		v.errorf(events, "must not be negative; 0 is unlimited")
	case r.Resume.MaxEvents == 0:
	case !r.Share && v.refused(joinPath(parentPath(at.path), "share")):
	case !r.Share:
		v.errorf(events, "needs share: true, since only a shared stream shows where a client has caught up; remove it, or write share: true")
	case r.Resume.Ordered != nil && !*r.Resume.Ordered:
		v.errorf(events, "needs resume.ordered: true, since only RPCs of one order show where a client has caught up; remove one of them")
	}
	if r.Resume.MaxAge != 0 {
		v.duration(at.key("max_age").path, r.Resume.MaxAge, least, month)
	}
}

// lacksResume reports whether a route has no resume. An invalid or misspelt resume counts as present,
// so that the keys that need it are not refused because of a typo.
func (v *validator) lacksResume(r *Route, at place) bool {
	return r.Resume == nil && !v.refused(at.key("resume").path)
}

// lacksID reports whether a route's messages have no backend ids. An invalid event.id counts as an id.
func (v *validator) lacksID(r *Route, at place) bool {
	return (r.Event.ID == nil || *r.Event.ID == "") && !v.refused(at.key("event").key("id").path)
}

// reconnect checks which failures are hidden. base has the keys that r leaves out, and origin is the
// reason for their values.
func (v *validator) reconnect(r *Reconnect, base Reconnect, origin string, at place) {
	if r == nil {
		return
	}
	// A value equal to base's may be a default. Errors about it belong to the place where base is
	// written.
	whole := r.over(base)
	codes, initial, longest, attempts := at.key("codes"), at.key("initial").path, at.key("max").path, at.key("attempts").path
	if v.isWritten(codes.path, !slices.Equal(whole.Codes, base.Codes)) {
		v.codes(r.Codes, codes)
	}
	if v.isWritten(initial, whole.Initial != base.Initial) {
		v.duration(initial, r.Initial, least, hour)
	}
	if v.isWritten(longest, whole.Max != base.Max) {
		v.duration(longest, r.Max, least, hour)
	}
	if n := *whole.Attempts; v.isWritten(attempts, n != *base.Attempts) && (n < 0 || n > maxAttempts) {
		v.errorf(attempts, "must be from 0, which is without end, to %d", maxAttempts)
	}
	ownInitial, ownMax := whole.Initial != base.Initial, whole.Max != base.Max
	switch {
	case whole.Initial <= whole.Max, whole.Initial > hour, whole.Max < least:
	case ownInitial && ownMax:
		v.errorf(initial, "must not be longer than max")
	case ownInitial:
		v.errorf(initial, "must not be longer than max, which is %s", origin)
	case ownMax:
		v.errorf(longest, "must not be shorter than initial, which is %s", origin)
	}
}

// codes checks a list of gRPC codes.
func (v *validator) codes(names []string, at place) {
	known := codeNames()
	for i, name := range names {
		path := at.index(i).path
		switch first := slices.Index(names, name); {
		case name == "OK":
			v.errorf(path, "OK is no failure; remove it")
		case !slices.Contains(known, name):
			v.errorf(path, "must be the name of a gRPC code%s", didYouMean(name, known))
		case first < i:
			v.errorf(path, "the same as %s; remove one of them", at.index(first).path)
		}
	}
}
