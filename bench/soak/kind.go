package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// sparse: one message of so many has a cursor, where not all have.
	sparse = 4
	// group: so many messages share a cursor, where cursors repeat.
	group = 3
	// before: so many messages of the past begin an RPC that has history.
	before = 20
	// kept: so many messages of the past are there, where history is trimmed.
	kept = 40
	// lap: an RPC that ends now and then ends after each place that is a multiple of lap.
	lap = 40
	// ballast: so many bytes are in each message that is bulky.
	ballast = 8 << 10
	// writeTimeout is the routes' write_timeout.
	writeTimeout = 5 * time.Second
)

// cursors says which messages of a stream carry what cursor.
type cursors int

const (
	eachHasSeq      cursors = iota // an integer
	someHaveSeq                    // an integer, one message of four
	eachHasToken                   // an opaque text
	groupsHaveToken                // an opaque text, three messages the same
)

// trimming says whether a backend forgets old messages, and how it refuses their cursors.
type trimming int

const (
	keepsAll   trimming = iota
	trimsCode           // OUT_OF_RANGE for a cursor that is gone
	trimsField          // a message with a field set
)

// kind is a kind of route, and of the stream behind it.
type kind struct {
	name string

	// The backend.
	cursors cursors
	trims   trimming
	history bool // an RPC without a cursor begins with some messages of the past
	hello   bool // every RPC begins with a message that has no cursor
	ends    bool // an RPC ends with OK now and then, and another goes on
	bulky   bool // the messages are long, and every other client is a slow reader
	weight  int  // so many bytes are in each message, if it is not bulky

	// The route.
	keys      string // its configuration but what follows, path, rpc, upstream and share
	log       logSize
	resumes   bool // an RPC can be opened at a cursor
	private   bool // a topic per client
	unordered bool // an RPC per client that has come back
	changes   bool // each reload that works changes it

	// excused are the kind's excused gaps, by reason. For clients of a route with resume
	// that have no cursor yet, see excuses.
	excused map[string]excuse
	// shows are the gaps and stream-retries that a soak must have seen of the kind, as a
	// tally names them.
	shows []string
	// place is the place that an id names, ok = false where ids name none.
	place func(id string) (place int64, ok bool)
}

// logSize is a route's replay.
type logSize struct {
	events int
	linger time.Duration
}

// The logs of routes whose ids only a log knows hold the messages of the longest fault,
// except where clients are to fall out of them. Those of the other routes are short, so
// that the cursor of a client that comes back has often left them. Private topics linger
// a little longer than the longest fault, and no longer: each has an RPC.
var (
	longLog    = logSize{8192, time.Minute}     //nolint:gochecknoglobals // constants
	narrowLog  = logSize{8, time.Minute}        //nolint:gochecknoglobals // constants
	shortLog   = logSize{12, 2 * time.Second}   //nolint:gochecknoglobals // constants
	briefLog   = logSize{8, 2 * time.Second}    //nolint:gochecknoglobals // constants
	privateLog = logSize{2048, 6 * time.Second} //nolint:gochecknoglobals // constants
)

// The routes' ways to resume.
const (
	ids       = "event: {id: seq}"
	exclusive = ids + ", resume: {field: after}"
)

// allKinds are the kinds of routes that a soak has.
func allKinds() []kind {
	return slices.Concat(plainKinds(), cursorKinds(), trimmedKinds(), slowKinds(), privateKinds())
}

// plainKinds have no cursors to resume at: only a log knows a client's place.
func plainKinds() []kind {
	return []kind{
		{name: "positions", log: longLog, excused: unplaced(), place: noPlace},
		{name: "ids", keys: ids, log: longLog, excused: unplaced(), place: seqPlace},
		{
			name: "reopenids", keys: ids + ", on_complete: reopen", log: longLog, ends: true,
			excused: unplaced(), shows: []string{"gap upstream"}, place: seqPlace,
		},
	}
}

// cursorKinds have backends that keep their promise: nothing is excused.
func cursorKinds() []kind {
	return []kind{
		{name: "exclusive", keys: exclusive, log: shortLog, resumes: true, changes: true, place: seqPlace},
		{name: "sparse", cursors: someHaveSeq, keys: exclusive, log: shortLog, resumes: true, place: seqPlace},
		{name: "hello", hello: true, keys: exclusive, log: shortLog, resumes: true, place: basePlace},
		{
			name: "inclusive", cursors: eachHasToken, log: shortLog, resumes: true, changes: true, place: tokenPlace,
			keys: "event: {id: cursor}, resume: {field: kinds.string_value, inclusive: true}",
		},
		{
			name: "repeats", cursors: groupsHaveToken, log: shortLog, resumes: true, place: groupPlace,
			keys: "event: {id: cursor, cursor: repeats}, resume: {field: kinds.string_value}",
		},
		{name: "own", history: true, keys: exclusive + ", join: own", log: shortLog, resumes: true, place: seqPlace},
		{
			name: "unordered", keys: ids + ", resume: {field: after, ordered: false}", log: shortLog,
			resumes: true, unordered: true, place: seqPlace,
		},
		{name: "reopen", keys: exclusive + ", on_complete: reopen", log: shortLog, resumes: true, ends: true, place: seqPlace},
	}
}

// trimmedKinds have backends that refuse what is too old. Their clients stay
// away for long now and then.
func trimmedKinds() []kind {
	refused := map[string]excuse{gapExpired: wasTrimmed}
	return []kind{
		{
			name: "trimmed", trims: trimsCode, keys: exclusive, log: shortLog,
			resumes: true, excused: refused, shows: []string{"gap expired"}, place: seqPlace,
		},
		{
			name: "trimmedinband", trims: trimsField, log: shortLog,
			keys:    ids + ", resume: {field: after, expired: {field: alarm}}",
			resumes: true, excused: refused, shows: []string{"gap expired"}, place: seqPlace,
		},
	}
}

// slowKinds have clients that the log leaves behind.
func slowKinds() []kind {
	return []kind{
		{
			name: "skip", bulky: true, keys: exclusive + ", slow_client: skip", log: briefLog,
			resumes: true, excused: map[string]excuse{gapLagged: hasLagged}, shows: []string{"gap lagged"}, place: seqPlace,
		},
		{
			name: "skipids", bulky: true, keys: ids + ", slow_client: skip", log: narrowLog,
			excused: also(unplaced(), map[string]excuse{gapLagged: hasLagged, gapExpired: fellOut}),
			shows:   []string{"gap lagged"}, place: seqPlace,
		},
		{
			name: "disconnect", bulky: true, keys: exclusive, log: briefLog,
			resumes: true, shows: []string{"retry lagged"}, place: seqPlace,
		},
		{
			name: "disconnectids", bulky: true, keys: ids, log: narrowLog,
			excused: also(unplaced(), map[string]excuse{gapExpired: fellOut}),
			shows:   []string{"retry lagged", "gap expired"}, place: seqPlace,
		},
	}
}

// privateKinds have a topic for each client, which waits for the client and drops no
// message.
func privateKinds() []kind {
	return []kind{
		{name: "private", private: true, log: privateLog, excused: unplaced(), place: noPlace},
		{
			name: "privateslow", private: true, bulky: true, log: logSize{12, privateLog.linger},
			// The events in the kernel's buffers of a client that is cut have left the log.
			excused: also(unplaced(), map[string]excuse{gapExpired: fellOut}), place: noPlace,
		},
		{
			name: "privatecursor", private: true, bulky: true, keys: exclusive,
			log: shortLog, resumes: true, place: seqPlace,
		},
	}
}

// pacesKind is the kind of "soak paces". Its log is much shorter than what clients miss.
func pacesKind() kind {
	return kind{name: asPaces, keys: exclusive, log: logSize{100, 2 * time.Second}, weight: 1 << 10, resumes: true, place: seqPlace}
}

// route is the kind's entry in a configuration. Clients come back after about
// retry.
func (k kind) route(retry time.Duration) string {
	keys := []string{
		fmt.Sprintf("path: %q, rpc: ssebridge.test.v1.FeedService/Watch, upstream: %s", "/"+k.name+"/{topic}", k.upstream()),
		fmt.Sprintf("retry: %s, write_timeout: %s, replay: {events: %d, linger: %s}, share: %t", retry, writeTimeout, k.log.events, k.log.linger, !k.private),
	}
	if k.keys != "" {
		keys = append(keys, k.keys)
	}
	return "{" + strings.Join(keys, ", ") + "}"
}

// The upstreams of a bridge, which are one backend. Each upstream has its own limit of
// catch-ups: those that last as long as their clients, or wait for slow ones, must not take
// the turns of the others.
const (
	mostUpstream = "feed"
	slowUpstream = "slow"
	eachUpstream = "each"
)

func (k kind) upstream() string {
	switch {
	case k.unordered:
		return eachUpstream
	case k.bulky:
		return slowUpstream
	default:
		return mostUpstream
	}
}

// ownRPCs reports whether a client may have an RPC of its own as long as it listens.
func (k kind) ownRPCs() bool { return k.private || k.unordered }

// mayLag reports whether a client may be asked to reconnect because it has fallen out of
// the log.
func (k kind) mayLag() bool { return !k.private && !strings.Contains(k.keys, "slow_client: skip") }

// kindOf returns the kind of a topic, which is <kind>-<room>.
func kindOf(topic string) (kind, bool) {
	name, _, _ := strings.Cut(topic, "-")
	kinds := append(allKinds(), pacesKind())
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}
