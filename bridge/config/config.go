package config

// Config is a complete configuration: the listeners, the upstreams, and the routes to them.
type Config struct {
	// Listen is the address of the public listener: host:port (":8080" is every address), or
	// unix:///path. A socket's file has the mode 0660 or the one in ?mode=0666. The listener serves
	// clear HTTP/1.1 and h2c or, with tls, HTTP/1.1 and HTTP/2. Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Admin is the address of /healthz, /readyz and /metrics, in the forms of listen, always without
	// TLS; "" is off. Default 127.0.0.1:9901.
	Admin *string `yaml:"admin"`
	// TrustedProxies are the networks (CIDRs or addresses) of the proxies in front. The bridge trusts
	// their X-Forwarded-For and PROXY protocol (version 2) headers; the client is the rightmost
	// untrusted address. Default none.
	TrustedProxies Prefixes `yaml:"trusted_proxies"`
	// TLS secures the public listener. Default off.
	TLS *ServerTLS `yaml:"tls"`
	// CORS says which pages of other origins may read the routes: none or {origins: [ORIGIN]}. Default
	// none.
	CORS *CORS `yaml:"cors"`
	// Auth says which credentials prove who a client is. A route asks for them by its auth.
	Auth Auth `yaml:"auth"`
	// Limits bounds the resources that clients and backends can use.
	Limits Limits `yaml:"limits"`
	// Drain says how the bridge stops serving on SIGTERM.
	Drain Drain `yaml:"drain"`
	// Upstreams are the backends, by the name that routes refer to. At least one.
	Upstreams map[string]Upstream `yaml:"upstreams"`
	// Routes bind HTTP paths to RPCs. At least one.
	Routes []Route `yaml:"routes"`
}

// ServerTLS secures the public listener: TLS 1.2 and later. The bridge reloads the files when they
// change; relative names are relative to the configuration file.
type ServerTLS struct {
	// Cert is the PEM file of the certificate and its intermediates. Required.
	Cert string `yaml:"cert"`
	// Key is the PEM file of cert's private key. Required.
	Key string `yaml:"key"`
	// ClientCA is a PEM file of roots. With it, clients must present a certificate that one of the
	// roots has issued. Default none.
	ClientCA string `yaml:"client_ca"`
}

// CORS says which pages of other origins may read answers (Fetch Standard, section 3.3), in YAML none or
// a mapping. The zero value is none.
type CORS struct {
	// Origins are the origins of the pages: scheme://host[:port], with a leading *. for one further
	// label of the host; or null, for pages without an origin; or * alone, for all pages. At least one.
	Origins []string `yaml:"origins"`
	// Credentials says that pages may send cookies and client certificates. Not with the origin *.
	// Default false.
	Credentials bool `yaml:"credentials"`
	// Headers are the request headers that pages may send besides accept, authorization, content-type,
	// last-event-id, prefer and x-request-id. Default none.
	Headers []string `yaml:"headers"`
	// Expose are the response headers that pages may read besides x-request-id, retry-after and
	// www-authenticate. Default none.
	Expose []string `yaml:"expose"`
	// MaxAge is how long a browser remembers what a page may send; 0s is not at all. Default 10m.
	MaxAge *Duration `yaml:"max_age"`
}

// Off reports whether no page of another origin may read answers.
func (c *CORS) Off() bool { return c == nil || len(c.Origins) == 0 }

// Auth says which credentials prove who a client is.
type Auth struct {
	// JWT are the issuers of JSON Web Tokens (RFC 7519): one, or a list. Default none.
	JWT Issuers `yaml:"jwt"`
}

// Issuers are issuers of tokens, in YAML one or a list.
type Issuers []Issuer

// Issuer is an issuer of tokens. A token is verified by the keys of its own issuer only. It must have the
// claim exp.
type Issuer struct {
	// Issuer is the claim iss of the tokens. Without jwks and secret it is the URL below which the issuer
	// publishes its metadata (OpenID Connect Discovery, or RFC 8414). Required.
	Issuer string `yaml:"issuer"`
	// JWKS is the URL of the issuer's key set: https, http on this machine, or file:///path. Default: as
	// the issuer's metadata say.
	JWKS string `yaml:"jwks"`
	// Audience are the names of which a token must have one in its claim aud. At least one.
	Audience []string `yaml:"audience"`
	// Algorithms are the accepted signature algorithms. Default all of RS, PS and ES, and EdDSA; with
	// secret HS256, HS384 and HS512.
	Algorithms []string `yaml:"algorithms"`
	// Secret is the key of tokens that are signed by HMAC, in place of jwks: 32 bytes or more.
	Secret string `yaml:"secret"`
	// Type is what the tokens' header typ must be: at+jwt refuses ID tokens (RFC 9068). Default any.
	Type string `yaml:"type"`
	// Leeway is how far the clocks of the issuer and of the bridge may differ. Default 30s.
	Leeway *Duration `yaml:"leeway"`
	// Refresh says how often the key set is read.
	Refresh Refresh `yaml:"refresh"`
	// From are the places of a request that may have a token, in the order in which they are tried: header
	// (Authorization: Bearer), cookie:NAME, query:NAME. Default [header].
	From []string `yaml:"from"`
	// Key are the claims that distinguish clients, besides the issuer; clients whose claims are equal may
	// share a stream and its log; [] says that all may. Default all claims except those that change when
	// a token is renewed.
	Key []string `yaml:"key"`
}

// Refresh says how often an issuer's key set is read.
type Refresh struct {
	// Every is the time between two readings: a key that the issuer has removed is trusted for that long.
	// Default 15m.
	Every Duration `yaml:"every"`
	// Unknown is the least time between two readings that are caused by tokens whose key is not in the
	// set. Default 30s.
	Unknown Duration `yaml:"unknown"`
}

// Limits bounds the resources that clients and backends can use.
type Limits struct {
	// Clients is the maximum number of clients at once. Default 10000, or fewer if the limit on file
	// descriptors is lower; the bridge refuses to start if a written number exceeds that limit.
	Clients int `yaml:"clients"`
	// ClientsPerIP is the maximum number of clients from one address; an IPv6 /64 is one address; 0 is
	// no limit. Behind a proxy it needs trusted_proxies. Default 500, for addresses that belong to a
	// single client: public ones, and those that a trusted proxy names; a written number applies to
	// all.
	ClientsPerIP *int `yaml:"clients_per_ip"`
	// OpensPerIP is how many new topics one address may open each second, after a burst of ten times
	// that number; 0 is no limit. Joining a running topic is never limited. Default 20, for the same
	// addresses.
	OpensPerIP *int `yaml:"opens_per_ip"`
	// ConnectsPerIP is how many connections one address may open each second, after a burst of ten
	// times that number. Further connections wait for up to 2 s before they are closed. 0 is no limit.
	// Default 50, for the same addresses.
	ConnectsPerIP *int `yaml:"connects_per_ip"`
	// RequestsPerIP is how many requests one address may send each second over its connections, after a
	// burst of ten times that number; beyond that the bridge reads its connections more slowly. 0 is no
	// limit. Default 200, for the same addresses.
	RequestsPerIP *int `yaml:"requests_per_ip"`
	// IdlePerIP is how many connections of one address may be without a request: during the handshake,
	// while a request's head arrives, and between two requests. Beyond it the connection that has
	// waited longest is closed; 0 is no limit. Default 100, for the same addresses.
	IdlePerIP *int `yaml:"idle_per_ip"`
	// Topics is the maximum number of topics (upstream streams with their clients) at once. Default
	// 10000.
	Topics int `yaml:"topics"`
	// IdleTopics is how many topics may linger at once. Topics that never had a client for a second may
	// be a tenth of it and go first, then the least recently used. Default 1000.
	IdleTopics int `yaml:"idle_topics"`
	// ReplayBytes is the memory for all logs together. Beyond it idle topics go first, then the oldest
	// events of the largest log. A quarter of it is for events that logs keep until their own client
	// has them (private streams, catch-ups); beyond that backends wait. Default 256MiB.
	ReplayBytes Size `yaml:"replay_bytes"`
	// PendingBytes is the memory for requests and answers, apart from logs: heads and bodies of
	// requests until they are answered or stream, requests of running streams, and answers of unary
	// methods until clients have them. Half is for requests, half for answers; 4KiB of each are not
	// counted. Beyond it the bridge sheds requests. At least eight times request_bytes. Default 64MiB.
	PendingBytes Size `yaml:"pending_bytes"`
	// Catchups is how many catch-up RPCs of an upstream may replay at once; each stream may always have
	// one. Further clients wait on their open response. An RPC without a message for 250 ms does not
	// count. Default 256.
	Catchups int `yaml:"catchups"`
	// RequestBytes bounds a request: its body, and its query and headers. Default 64KiB.
	RequestBytes Size `yaml:"request_bytes"`
	// MessageBytes bounds one upstream message, and its JSON at four times that. Default 4MiB.
	MessageBytes Size `yaml:"message_bytes"`
}

// Drain says how the bridge stops serving on SIGTERM.
type Drain struct {
	// Delay is how long the bridge keeps serving while it reports that it is not ready, so that load
	// balancers notice. Default 5s.
	Delay *Duration `yaml:"delay"`
	// Grace is the time over which clients are asked to reconnect, spread evenly. Default 25s.
	Grace *Duration `yaml:"grace"`
	// Alone says that no other bridge takes over the clients: they are asked to reconnect when this one
	// has restarted. Delay and Grace then default to 0s. Default false.
	Alone bool `yaml:"alone"`
}

// Upstream is a backend and its connections.
type Upstream struct {
	// Target is any gRPC target: host:port, dns:///name:port, unix:///run/app.sock. Required.
	Target string `yaml:"target"`
	// Protocol is the backend's protocol: grpc. Default grpc.
	Protocol string `yaml:"protocol"`
	// TLS secures the connection. Without it the connection is clear; with an empty mapping the
	// system's roots verify the backend.
	TLS *TLS `yaml:"tls"`
	// Metadata is sent with every call; an empty value is dropped. Default none.
	Metadata map[string]string `yaml:"metadata"`
	// Schema is the source of the types of the upstream's RPCs. Default reflection.
	Schema Schema `yaml:"schema"`
	// Required makes the bridge report ready only once it has this upstream's schema. Otherwise, while
	// the upstream is unreachable, its routes keep their clients waiting or ask them to reconnect, and
	// the other routes serve. Default true for the only upstream, false where there are several.
	Required *bool `yaml:"required"`
	// Connections is the number of connections to each address: auto (one more when the backend's
	// concurrent streams are used up, and one for replays) or a number. Default auto.
	Connections Connections `yaml:"connections"`
	// Balance selects the target's address for an RPC: spread (the one with the fewest RPCs), first
	// (connect to one address only) or {rebalance: DURATION} (like spread, and when addresses come or
	// go, RPCs that can be reopened at their cursor move within this time until each address has its
	// share). Default spread.
	Balance Balance `yaml:"balance"`
	// Health checks each address by grpc.health.v1; an address that does not serve gets no new RPC:
	// true (the server as a whole), false or {service: NAME}. Default false.
	Health Health `yaml:"health"`
	// Opens is how many RPCs may wait for a slot on a connection at once. Default 100.
	Opens int `yaml:"opens"`
	// OpenTimeout bounds the time until a connection is up and the RPC has a slot on it. Default 10s.
	OpenTimeout Duration `yaml:"open_timeout"`
	// Ping checks silent connections by HTTP/2 PINGs; a connection without an answer is closed. The
	// backend must permit it: many servers close connections with more than one PING in 5 minutes.
	// Default none.
	Ping *Ping `yaml:"ping"`
	// Keepalive is how long a connection may be silent before TCP probes it. Default 30s.
	Keepalive Duration `yaml:"keepalive"`
	// Reconnect says which failures the bridge hides from clients by reopening the RPC.
	Reconnect *Reconnect `yaml:"reconnect"`
}

// Reconnect says which failures of an RPC the bridge hides by reopening it, and how often it tries. A
// route takes missing keys from its upstream.
type Reconnect struct {
	// Codes are the hidden gRPC codes, such as UNAVAILABLE; [] is none. Default [UNAVAILABLE].
	Codes []string `yaml:"codes"`
	// Initial is the time before the second attempt, jittered, and doubled with each further one. A
	// message, or an RPC that lives for max, resets it. Default 100ms.
	Initial Duration `yaml:"initial"`
	// Max is the longest time between two attempts. An upstream's Max also bounds the time between
	// attempts to connect, at 3s at most. Default 10s.
	Max Duration `yaml:"max"`
	// Attempts is how many attempts may fail in a row; an attempt to connect to an unreachable backend
	// counts. 0 is no limit while there are clients. Default 0.
	Attempts *int `yaml:"attempts"`
}

// Connections is a number of connections to an upstream; 0 is auto.
type Connections int

// Ping says when a silent connection is checked, and when one without an answer is closed.
type Ping struct {
	// Every is how long a connection may be silent before a PING. Default 30s.
	Every Duration `yaml:"every"`
	// Timeout is how long the backend may take to answer. Default 10s.
	Timeout Duration `yaml:"timeout"`
}

// Balance selects an upstream's address for an RPC, in YAML spread, first or {rebalance: DURATION}. The
// zero value is spread.
type Balance struct {
	// First connects to one address only.
	First bool `yaml:"-"`
	// Rebalance is the time within which RPCs move after the addresses have changed; 0 moves none.
	Rebalance Duration `yaml:"rebalance"`
}

// Health is the health check of addresses by grpc.health.v1, in YAML true, false or {service: NAME}.
// The zero value is off.
type Health struct {
	// On enables the check.
	On bool `yaml:"-"`
	// Service is the name of the checked service; empty is the server as a whole.
	Service string `yaml:"service"`
}

// TLS secures the connection to an upstream. The zero value verifies the backend by the system's roots.
// Relative names of files are relative to the configuration file.
type TLS struct {
	// CA is a PEM file of the roots that verify the backend, in place of the system's.
	CA string `yaml:"ca"`
	// Cert is a PEM file of the certificate that the bridge presents; it needs key.
	Cert string `yaml:"cert"`
	// Key is the PEM file of cert's private key.
	Key string `yaml:"key"`
	// ServerName is the name that the backend's certificate must have, in place of the target's.
	ServerName string `yaml:"server_name"`
}

// Schema is the source of the types of an upstream's RPCs. The zero value is server reflection; at most
// one of the fields is set.
type Schema struct {
	// DescriptorSet is a file with a FileDescriptorSet, as written by buf build and protoc
	// --descriptor_set_out; relative to the configuration file.
	DescriptorSet string `yaml:"descriptor_set"`
	// Proto compiles .proto sources.
	Proto *ProtoSources `yaml:"proto"`
}

// ProtoSources are .proto files that the bridge compiles itself.
type ProtoSources struct {
	// ImportPaths are the folders of the files and their imports, relative to the configuration file.
	// Default: the configuration file's folder.
	ImportPaths []string `yaml:"import_paths"`
	// Files are the .proto files to compile, in the form of an import. At least one.
	Files []string `yaml:"files"`
}

// Route binds an HTTP path to an RPC.
type Route struct {
	// Path is a google.api.http template: {field}, {field=prefix/*}, {field=**}, :verb. Required.
	Path string `yaml:"path"`
	// Methods are the HTTP methods: GET, POST, in any case. Default [GET].
	Methods []string `yaml:"methods"`
	// Safe says that a unary RPC changes nothing, so that GET may call it. The method option
	// idempotency_level = NO_SIDE_EFFECTS in the .proto says the same; either is enough. Unary methods
	// only. Default false.
	Safe bool `yaml:"safe"`
	// RPC is the method to call, as package.Service/Method. Required.
	RPC string `yaml:"rpc"`
	// Upstream is the name of the RPC's upstream. Required.
	Upstream string `yaml:"upstream"`
	// Auth says whether clients must prove who they are: none, optional (without a credential they are
	// anonymous, and a wrong one is refused), required, or {mode: required, allow: [CONDITION]}. Default
	// none.
	Auth RouteAuth `yaml:"auth"`
	// CORS replaces the bridge's cors for this route: none or {origins: [ORIGIN]}. Default: the
	// bridge's.
	CORS *CORS `yaml:"cors"`
	// Request says which source may set which field of the request message.
	Request Request `yaml:"request"`
	// Event says how a message becomes an event.
	Event Event `yaml:"event"`
	// Resume says how the RPC is opened at a cursor, the id of an event. Default none: clients resume
	// from the bridge's log.
	Resume *Resume `yaml:"resume"`
	// Reconnect overrides the upstream's reconnect, key by key.
	Reconnect *Reconnect `yaml:"reconnect"`
	// Join says where a client without an id starts on a shared running topic: live (after the newest
	// event), held (at the oldest event in the log) or own (with an RPC of its own, which merges into
	// the topic; for streams that begin with history or a snapshot; needs event.id and resume). It
	// needs share: true. Default live.
	Join string `yaml:"join"`
	// Replay bounds the log of a topic, from which clients resume.
	Replay Replay `yaml:"replay"`
	// Share lets equal requests of equal identity share one RPC. Without it each client has an RPC of
	// its own, from its first message on. Default false.
	Share bool `yaml:"share"`
	// SlowClient says what happens to a client whose next event has left the log: disconnect, or skip,
	// announced by stream-gap. Default disconnect.
	SlowClient string `yaml:"slow_client"`
	// WriteTimeout is how long a socket with unsent bytes may make no progress. Default 20s.
	WriteTimeout Duration `yaml:"write_timeout"`
	// OnComplete says what follows an RPC that ended with OK: end (clients get stream-end and stop) or
	// reopen, with backoff. Default end.
	OnComplete string `yaml:"on_complete"`
	// OnBadMessage says what follows a message that cannot be transcoded: gap (announced) or stop.
	// Default gap.
	OnBadMessage string `yaml:"on_bad_message"`
	// OpenGrace is the time in which an RPC that ends before its first message becomes an HTTP status.
	// The response of a silent stream begins after it. Default 250ms.
	OpenGrace *Duration `yaml:"open_grace"`
	// Heartbeat says how a silent stream is kept alive.
	Heartbeat Heartbeat `yaml:"heartbeat"`
	// Retry is the time after which a client reconnects, jittered by 20 %. Default 3s.
	Retry Duration `yaml:"retry"`
	// IdleTimeout is how long an RPC may send no message before it is reopened, at the last cursor if
	// the route has one, otherwise after a stream-gap; 0s is no limit. Default 0s.
	IdleTimeout Duration `yaml:"idle_timeout"`
	// MaxAge is how long a stream lives before its client is asked to reconnect, jittered; 0s is
	// unlimited. Default 0s.
	MaxAge Duration `yaml:"max_age"`
	// Compress sends gzip to clients that accept it. Default true.
	Compress *bool `yaml:"compress"`
	// Trailers are the upstream trailers shown in stream-end and stream-error. Default none.
	Trailers []string `yaml:"trailers"`
	// Done is a literal data line sent after OK, such as [DONE]. Default none.
	Done string `yaml:"done"`
	// Timeout bounds a unary call; unary methods only. Default 30s.
	Timeout Duration `yaml:"timeout"`
}

// RouteAuth says who may use a route, in YAML none, optional, required or a mapping.
type RouteAuth struct {
	// Mode is none, optional or required. Required in a mapping.
	Mode string `yaml:"mode"`
	// Allow are conditions that the claims must meet, all of them; other clients get 403. Needs mode:
	// required. Default none.
	Allow []Condition `yaml:"allow"`
}

// Condition is a condition on a claim: one of equals, in, has and exists.
type Condition struct {
	// Claim is the path of the claim, such as scope or org.id. Required.
	Claim string `yaml:"claim"`
	// Equals is the claim's value; {name} stands for a variable of the route's path.
	Equals string `yaml:"equals"`
	// In are the values of which the claim has one.
	In []string `yaml:"in"`
	// Has is an element of the claim's list, or a word of its text; {name} stands for a variable of the
	// route's path.
	Has string `yaml:"has"`
	// Exists demands that the claim is there, whatever its value.
	Exists bool `yaml:"exists"`
}

// Request says which source may set which field of the request message. The order of precedence is set,
// path, claims, headers, then query and body. A field bound by one of the first four is closed to query
// and body. When an RPC is opened at a cursor, resume overrides all of them.
type Request struct {
	// Query says which fields query parameters may set: true (any), false, or a list of field paths.
	// Default false.
	Query Fields `yaml:"query"`
	// Ignore are query names to ignore; other unknown names are refused. A name is exact (_ts) or a
	// prefix (utm_*), which does not cover names that query allows. Default none.
	Ignore []string `yaml:"ignore"`
	// Body says which fields the JSON body may set: true (any), false, or a list of field paths.
	// Default true where POST is allowed.
	Body *Fields `yaml:"body"`
	// Set gives fields constant values: field path to any JSON value; {} is an empty message and [{…}]
	// a list of messages. Default none.
	Set map[string]any `yaml:"set"`
	// Claims binds claims to fields: path of the claim to field path. A request whose claims lack one, or
	// do not fit, gets 403. Needs auth: required. Default none.
	Claims map[string]string `yaml:"claims"`
	// Headers binds HTTP headers to fields: header name to field path. Default none.
	Headers map[string]string `yaml:"headers"`
	// Metadata are the HTTP headers that are forwarded as gRPC metadata. Default none.
	Metadata []Metadata `yaml:"metadata"`
}

// Fields is a choice of request fields, in YAML true, false or a list of field paths. The zero value is
// no field.
type Fields struct {
	// All allows every field.
	All bool
	// Paths are the allowed field paths; without effect if All is set.
	Paths []string
}

// Metadata is an HTTP header that is forwarded as gRPC metadata, in YAML its name or {name: NAME, key:
// false}.
type Metadata struct {
	// Name is the header's name, in any case. Required.
	Name string `yaml:"name"`
	// Key says whether the value is part of the topic's identity, so that it keeps clients apart.
	// Default true.
	Key *bool `yaml:"key"`
}

// Event says how a message becomes an event.
type Event struct {
	// ID is the field path of the event's id (string, bytes, integer or Timestamp). Without it the
	// bridge numbers events; "" is no ids.
	ID *string `yaml:"id"`
	// Cursor says how the values of id behave: unique, or repeats if several messages may have the
	// same. Default unique.
	Cursor string `yaml:"cursor"`
	// Name is the event's name: a constant, {field: PATH} or {oneof: NAME}. Default none.
	Name EventName `yaml:"name"`
	// Data is the part of the message to send: {message: true}, {field: PATH} or {oneof: NAME}. Default
	// {message: true}.
	Data EventData `yaml:"data"`
	// EmitDefaults writes fields with their default value, like proto3 JSON's option. Default false.
	EmitDefaults bool `yaml:"emit_defaults"`
	// ProtoNames writes field names as in the .proto file, like proto3 JSON's option. Default false.
	ProtoNames bool `yaml:"proto_names"`
	// EnumNumbers writes enums as numbers, like proto3 JSON's option. Default false.
	EnumNumbers bool `yaml:"enum_numbers"`
}

// EventName is the source of an event's name, in YAML a string, {field: PATH} or {oneof: NAME}. The
// zero value is no name; at most one of the fields is set.
type EventName struct {
	// Constant is the name itself.
	Constant string `yaml:"-"`
	// Field is the path of the field whose value is the name.
	Field string `yaml:"field"`
	// Oneof is a oneof of the message; the name is that of its set member.
	Oneof string `yaml:"oneof"`
}

// EventData is the part of a message to send, in YAML {message: true}, {field: PATH} or {oneof: NAME}.
// The zero value is the whole message; at most one field is set.
type EventData struct {
	// Field is the path of the field to send.
	Field string `yaml:"field"`
	// Oneof is a oneof of the message; its set member is sent.
	Oneof string `yaml:"oneof"`
}

// Resume says how an RPC is opened at a cursor: the value of event.id that a client has seen last.
type Resume struct {
	// Field is the path of the request field for the cursor (string, bytes, integer or Timestamp, like
	// event.id). Required.
	Field string `yaml:"field"`
	// Inclusive says that the backend sends the cursor's own message again, which the bridge drops.
	// Default false.
	Inclusive bool `yaml:"inclusive"`
	// Offset is added to an integer cursor; a backend that starts at a revision, rather than after it,
	// needs 1. Not with inclusive. Default 0.
	Offset int64 `yaml:"offset"`
	// Set gives fields constant values when resuming; they override request and the path. Default none.
	Set map[string]any `yaml:"set"`
	// Ordered says that all RPCs of the route send messages in the same order, so that catch-ups may
	// merge. Default true.
	Ordered *bool `yaml:"ordered"`
	// Expired says how the backend reports that a cursor is too old.
	Expired Expired `yaml:"expired"`
	// MaxEvents bounds the missed events that a client is sent. Beyond it the client gets stream-gap
	// expired and starts over. 0 is unlimited. Needs share: true and ordered: true. Default 0.
	MaxEvents int `yaml:"max_events"`
	// MaxAge bounds the age of a cursor that is a google.protobuf.Timestamp. Beyond it the client gets
	// stream-gap expired and starts over. 0s is unlimited. Default 0s.
	MaxAge Duration `yaml:"max_age"`
}

// Expired says how a backend reports that a cursor is too old.
type Expired struct {
	// Codes are the gRPC codes that report it, if an RPC opened at a cursor fails before its first
	// message with a cursor; [] is none. Default [OUT_OF_RANGE, INVALID_ARGUMENT, NOT_FOUND,
	// FAILED_PRECONDITION].
	Codes []string `yaml:"codes"`
	// Field is the path of a response field, such as compact_revision: a message in which it is set
	// reports it in band. Default none.
	Field string `yaml:"field"`
}

// Replay bounds the log of a topic, from which clients resume.
type Replay struct {
	// Events is the maximum number of events in the log. Default 1024.
	Events int `yaml:"events"`
	// Bytes is the maximum size of the log's frames. Default 8MiB.
	Bytes Size `yaml:"bytes"`
	// Age is how long the log keeps an event. Default 10m.
	Age Duration `yaml:"age"`
	// Linger is how long the topic lives on after its last client left. Default 30s.
	Linger *Duration `yaml:"linger"`
}

// Heartbeat says how a silent stream is kept alive.
type Heartbeat struct {
	// Every is the time between heartbeats; 0s is off. Default 15s.
	Every *Duration `yaml:"every"`
	// As is the form of a heartbeat: comment, or event (named heartbeat, without an id). Default
	// comment.
	As string `yaml:"as"`
}
