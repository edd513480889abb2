package config

// Config is a whole configuration: where to listen, which upstreams there are, and
// which routes lead to them.
type Config struct {
	// Listen is the address of the public listener: host:port (":8080" is every address), or
	// unix:///path, whose file has the mode 0660 or that of ?mode=0666. Clear HTTP/1.1 and h2c, or with
	// tls HTTP/1.1 and HTTP/2. Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Admin is the address of /healthz, /readyz and /metrics, in the forms of listen, always clear; "" is off.
	// Default 127.0.0.1:9901.
	Admin *string `yaml:"admin"`
	// TrustedProxies are the networks (CIDRs or addresses) of the proxies in front, whose
	// X-Forwarded-For and PROXY protocol (version 2) headers are believed; the client is the rightmost
	// untrusted address. Default none.
	TrustedProxies Prefixes `yaml:"trusted_proxies"`
	// TLS secures the public listener. Default off.
	TLS *ServerTLS `yaml:"tls"`
	// Limits bounds what clients and backends can make the bridge hold.
	Limits Limits `yaml:"limits"`
	// Drain says how the bridge stops serving on SIGTERM.
	Drain Drain `yaml:"drain"`
	// Upstreams are the backends, by the name that routes refer to. At least one.
	Upstreams map[string]Upstream `yaml:"upstreams"`
	// Routes bind HTTP paths to RPCs. At least one.
	Routes []Route `yaml:"routes"`
}

// ServerTLS secures the public listener: TLS 1.2 and later. The files are read again
// when they change; relative ones are relative to the configuration file.
type ServerTLS struct {
	// Cert is the PEM file of the certificate and what stands between it and its root. Required.
	Cert string `yaml:"cert"`
	// Key is the PEM file of cert's private key. Required.
	Key string `yaml:"key"`
	// ClientCA is a PEM file of roots; with it, callers must present a certificate that one of them
	// vouches for. Default none.
	ClientCA string `yaml:"client_ca"`
}

// Limits bounds what clients and backends can make the bridge hold.
type Limits struct {
	// Clients is how many clients may listen at once. Default 10000, or what the limit on file
	// descriptors leaves room for; a written number above that is refused at start.
	Clients int `yaml:"clients"`
	// ClientsPerIP is how many of them one address may be, an IPv6 /64 being one; 0 is no limit. Behind a
	// proxy it needs trusted_proxies. Default 500, for addresses that are a client's own: public ones, and
	// those that a trusted proxy names; a written number is for all.
	ClientsPerIP *int `yaml:"clients_per_ip"`
	// OpensPerIP is how many new topics a second one address may open, after ten times as many at once;
	// 0 is no limit. Joining a topic that runs is never limited. Default 20, for the same addresses.
	OpensPerIP *int `yaml:"opens_per_ip"`
	// ConnectsPerIP is how many connections a second one address may open, after ten times as many at
	// once; those beyond wait for up to 2 s, and then they are closed. 0 is no limit. Default 50, for the
	// same addresses.
	ConnectsPerIP *int `yaml:"connects_per_ip"`
	// RequestsPerIP is how many requests a second one address may send over its connections, after ten
	// times as many at once; beyond that its connections are read more slowly. 0 is no limit. Default 200,
	// for the same addresses.
	RequestsPerIP *int `yaml:"requests_per_ip"`
	// IdlePerIP is how many connections of one address may be without a request: while they shake
	// hands, while a request's head is on its way, and between two requests. Beyond it the one that has
	// waited longest is closed; 0 is no limit. Default 100, for the same addresses.
	IdlePerIP *int `yaml:"idle_per_ip"`
	// Topics is how many topics (upstream streams with those who listen to them) may exist at once.
	// Default 10000.
	Topics int `yaml:"topics"`
	// IdleTopics is how many topics may linger at once; the least recently used goes first, and before it
	// those that no client has listened to for a second, which may be a tenth of it. Default 1000.
	IdleTopics int `yaml:"idle_topics"`
	// ReplayBytes is the memory of all logs together: beyond it idle topics go first, then the oldest
	// events of the largest log. A quarter of it is for events that logs keep until their own client has
	// them (private streams, catch-ups): beyond that backends wait. Default 256MiB.
	ReplayBytes Size `yaml:"replay_bytes"`
	// PendingBytes is the memory of what is held for peers beside logs: heads and bodies of requests until
	// they are answered or stream, requests of running streams, answers of unary methods until they are
	// taken; half for requests, half for answers, 4KiB of each uncounted. Beyond it requests are shed. At least eight
	// times request_bytes. Default 64MiB.
	PendingBytes Size `yaml:"pending_bytes"`
	// Catchups is how many catch-up RPCs of an upstream may replay at once, but at least one for each
	// stream; further clients wait on their open response. An RPC that has brought nothing for 250 ms
	// replays nothing, and does not count. Default 256.
	Catchups int `yaml:"catchups"`
	// RequestBytes bounds a request: its body, and its query and headers. Default 64KiB.
	RequestBytes Size `yaml:"request_bytes"`
	// MessageBytes bounds one upstream message, and its JSON at four times that. Default 4MiB.
	MessageBytes Size `yaml:"message_bytes"`
}

// Drain says how the bridge stops serving on SIGTERM.
type Drain struct {
	// Delay is how long the bridge serves on while it says that it is not ready, so that endpoints
	// settle. Default 5s.
	Delay *Duration `yaml:"delay"`
	// Grace is the time over which clients are told to come back, spread evenly. Default 25s.
	Grace *Duration `yaml:"grace"`
	// Alone says that no other bridge takes the clients: they are told to come back when this one has been started again.
	// Delay and Grace are 0s then by default. Default false.
	Alone bool `yaml:"alone"`
}

// Upstream is a backend and how to speak to it.
type Upstream struct {
	// Target is any gRPC target: host:port, dns:///name:port, unix:///run/app.sock. Required.
	Target string `yaml:"target"`
	// Protocol is what the backend speaks: grpc. Default grpc.
	Protocol string `yaml:"protocol"`
	// TLS secures the connection; left out it is clear, present and empty it is verified by the
	// system's roots.
	TLS *TLS `yaml:"tls"`
	// Metadata is sent with every call; an empty value is dropped. Default none.
	Metadata map[string]string `yaml:"metadata"`
	// Schema says where the types of the upstream's RPCs come from. Default reflection.
	Schema Schema `yaml:"schema"`
	// Required has the bridge wait for this upstream's schema before it says that it is ready. Else the
	// routes of an upstream that is away hold their clients, or ask them to come back, while the others
	// are served. Default true for the only upstream, false where there are several.
	Required *bool `yaml:"required"`
	// Connections is how many connections are used to each address: auto (one more when the backend's
	// concurrent streams are used up, and one for replays) or a number. Default auto.
	Connections Connections `yaml:"connections"`
	// Balance says which of the target's addresses gets an RPC: spread (the one with the fewest),
	// first (only one address is connected to) or {rebalance: DURATION} (as spread; when addresses
	// come or go, RPCs that can be opened again at their cursor are moved within this time until each
	// address has its share). Default spread.
	Balance Balance `yaml:"balance"`
	// Health has each address asked by grpc.health.v1 whether it serves; one that does not gets no new
	// RPC: true (the server as a whole), false or {service: NAME}. Default false.
	Health Health `yaml:"health"`
	// Opens is how many RPCs may wait for their place on a connection at once. Default 100.
	Opens int `yaml:"opens"`
	// OpenTimeout bounds the time until a connection is up and the RPC has its place on it. Default 10s.
	OpenTimeout Duration `yaml:"open_timeout"`
	// Ping has silent connections asked by HTTP/2 PINGs whether the backend is alive; one without
	// an answer is given up. The backend must permit it: many servers close connections that are pinged
	// more than once in 5 minutes. Default none.
	Ping *Ping `yaml:"ping"`
	// Keepalive is how long a connection may be silent before it is probed. Default 30s.
	Keepalive Duration `yaml:"keepalive"`
	// Reconnect says which failures clients are not told of, because the bridge opens the RPC again.
	Reconnect *Reconnect `yaml:"reconnect"`
}

// Reconnect says which failures of an RPC are hidden by opening it again, and how
// often that is tried. A key that a route's leaves out is as in its upstream's.
type Reconnect struct {
	// Codes are the gRPC codes that are hidden, such as UNAVAILABLE; [] is none. Default [UNAVAILABLE].
	Codes []string `yaml:"codes"`
	// Initial is the time before the second attempt, jittered and doubled with each further one; a
	// message, or an RPC that lived for max, brings it back. Default 100ms.
	Initial Duration `yaml:"initial"`
	// Max is the longest time between two attempts. An upstream's bounds its connections too, 3s at most: how
	// soon a backend that is back is connected to. Default 10s.
	Max Duration `yaml:"max"`
	// Attempts is how many attempts may fail in a row, an attempt to connect to a backend that is away
	// being one; 0 is as many as it takes while a client listens.
	// Default 0.
	Attempts *int `yaml:"attempts"`
}

// Connections is a number of connections to an upstream; 0 is auto.
type Connections int

// Ping says when a silent connection is asked whether its backend is alive, and when
// one without an answer is given up.
type Ping struct {
	// Every is how long a connection may be silent before it is asked. Default 30s.
	Every Duration `yaml:"every"`
	// Timeout is how long the backend may take to answer. Default 10s.
	Timeout Duration `yaml:"timeout"`
}

// Balance says which of an upstream's addresses gets an RPC, in YAML spread, first or
// {rebalance: DURATION}. The zero value is spread.
type Balance struct {
	// First connects to one address only.
	First bool `yaml:"-"`
	// Rebalance is the time within which RPCs are moved when the addresses have changed; 0 moves none.
	Rebalance Duration `yaml:"rebalance"`
}

// Health says whether addresses are asked by grpc.health.v1 if they serve, in YAML
// true, false or {service: NAME}. The zero value asks none.
type Health struct {
	// On has addresses asked.
	On bool `yaml:"-"`
	// Service is the name that is asked for; empty is the server as a whole.
	Service string `yaml:"service"`
}

// TLS secures the connection to an upstream. Its zero value verifies the backend by
// the system's roots. Relative files are relative to the configuration file.
type TLS struct {
	// CA is a PEM file of the roots that verify the backend, in place of the system's.
	CA string `yaml:"ca"`
	// Cert is a PEM file of the certificate that the bridge presents; it needs key.
	Cert string `yaml:"cert"`
	// Key is the PEM file of cert's private key.
	Key string `yaml:"key"`
	// ServerName is the name that the backend's certificate must be for, in place of the target's.
	ServerName string `yaml:"server_name"`
}

// Schema says where the types of an upstream's RPCs come from. Its zero value is
// server reflection; at most one of the fields is set.
type Schema struct {
	// DescriptorSet is a file with a FileDescriptorSet, as buf build and protoc --descriptor_set_out
	// write it; relative to the configuration file.
	DescriptorSet string `yaml:"descriptor_set"`
	// Proto compiles .proto sources.
	Proto *ProtoSources `yaml:"proto"`
}

// ProtoSources are .proto files that the bridge compiles itself.
type ProtoSources struct {
	// ImportPaths are the folders in which files and their imports are looked up, relative to the
	// configuration file. Default: the configuration file's folder.
	ImportPaths []string `yaml:"import_paths"`
	// Files are the .proto files to compile, as an import would name them. At least one.
	Files []string `yaml:"files"`
}

// Route binds an HTTP path to an RPC.
type Route struct {
	// Path is a google.api.http template: {field}, {field=prefix/*}, {field=**}, :verb. Required.
	Path string `yaml:"path"`
	// Methods are the HTTP methods: GET, POST, in any case. Default [GET].
	Methods []string `yaml:"methods"`
	// Safe says that a unary RPC changes nothing, so that GET may call it, as the method option
	// idempotency_level = NO_SIDE_EFFECTS says in the .proto; either is enough. Unary methods only.
	// Default false.
	Safe bool `yaml:"safe"`
	// RPC is the method that is called, as package.Service/Method. Required.
	RPC string `yaml:"rpc"`
	// Upstream names the upstream that the RPC is called at. Required.
	Upstream string `yaml:"upstream"`
	// Auth says whether callers must be authenticated: none. Default none.
	Auth string `yaml:"auth"`
	// Request says who may set which field of the request message.
	Request Request `yaml:"request"`
	// Event says how a message becomes an event.
	Event Event `yaml:"event"`
	// Resume says how the RPC is opened at a cursor, the id of an event. Default none: clients resume
	// from what the bridge holds.
	Resume *Resume `yaml:"resume"`
	// Reconnect overrides the upstream's reconnect, key by key.
	Reconnect *Reconnect `yaml:"reconnect"`
	// Join says where a client without an id starts on a shared topic that runs: live (after the newest
	// event), held (at the oldest held) or own (with an RPC of its own, which merges into the topic; for
	// streams that begin with history or a snapshot; needs event.id and resume). It needs share: true.
	// Default live.
	Join string `yaml:"join"`
	// Replay bounds the log of a topic, from which clients resume.
	Replay Replay `yaml:"replay"`
	// Share lets equal requests of equal identity share one RPC. Without it each client has an RPC of
	// its own, which it sees from its first message. Default false.
	Share bool `yaml:"share"`
	// SlowClient says what happens to a client that fell out of the log: disconnect, or skip,
	// announced as stream-gap. Default disconnect.
	SlowClient string `yaml:"slow_client"`
	// WriteTimeout is how long a socket with bytes to send may make no progress. Default 20s.
	WriteTimeout Duration `yaml:"write_timeout"`
	// OnComplete says what follows an RPC that ended with OK: end (clients are told and stop) or
	// reopen, with backoff. Default end.
	OnComplete string `yaml:"on_complete"`
	// OnBadMessage says what follows a message that cannot be transcoded: gap (announced) or stop.
	// Default gap.
	OnBadMessage string `yaml:"on_bad_message"`
	// OpenGrace is the time in which an end of the RPC before its first message becomes an HTTP
	// status. The response of a stream that is silent begins after it. Default 250ms.
	OpenGrace *Duration `yaml:"open_grace"`
	// Heartbeat says how a silent stream is kept alive.
	Heartbeat Heartbeat `yaml:"heartbeat"`
	// Retry is the time after which a client reconnects, jittered by 20 %. Default 3s.
	Retry Duration `yaml:"retry"`
	// IdleTimeout is how long an RPC may send no message before it is opened again, at the last cursor if the
	// route has one and else behind a stream-gap; 0s is for ever. Default 0s.
	IdleTimeout Duration `yaml:"idle_timeout"`
	// MaxAge is how long a stream lives before its client is asked to come back, jittered; 0s is
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

// Request says who may set which field of the request message. The strongest comes
// first: set, path, headers, then query and body; a field bound by one of the first
// three is closed to query and body. When an RPC is opened at a cursor, resume
// overrides them all.
type Request struct {
	// Query says which fields query parameters may set: true (any), false, or a list of field paths.
	// Default false.
	Query Fields `yaml:"query"`
	// Ignore are query names that are left out, where others are refused: _ts, or utm_* for all that
	// begin so and that query does not allow. Default none.
	Ignore []string `yaml:"ignore"`
	// Body says which fields the JSON body may set: true (any), false, or a list of field paths.
	// Default true where POST is allowed.
	Body *Fields `yaml:"body"`
	// Set gives fields constant values: field path to any JSON value, so that {} is an empty message
	// and [{…}] a list of messages. Default none.
	Set map[string]any `yaml:"set"`
	// Headers binds HTTP headers to fields: header name to field path. Default none.
	Headers map[string]string `yaml:"headers"`
	// Metadata are the HTTP headers that are forwarded as gRPC metadata. Default none.
	Metadata []Metadata `yaml:"metadata"`
}

// Fields is a choice of request fields, in YAML true, false or a list of field paths.
// The zero value is no field.
type Fields struct {
	// All allows every field.
	All bool
	// Paths are the allowed field paths; void with All.
	Paths []string
}

// Metadata is an HTTP header that is forwarded as gRPC metadata, in YAML its name or
// {name: NAME, key: false}.
type Metadata struct {
	// Name is the header's name, in any case. Required.
	Name string `yaml:"name"`
	// Key says whether the value is part of the topic's identity, so that it keeps clients apart.
	// Default true.
	Key *bool `yaml:"key"`
}

// Event says how a message becomes an event.
type Event struct {
	// ID is the field path of the event's id (string, bytes, integer or Timestamp); left out, the
	// bridge numbers events; "" is no ids.
	ID *string `yaml:"id"`
	// Cursor says how the values of id behave: unique, or repeats, where several messages may carry
	// the same. Default unique.
	Cursor string `yaml:"cursor"`
	// Name is the event's name: a constant, {field: PATH} or {oneof: NAME}. Default none.
	Name EventName `yaml:"name"`
	// Data is what is sent of the message: {message: true}, {field: PATH} or {oneof: NAME}. Default
	// {message: true}.
	Data EventData `yaml:"data"`
	// EmitDefaults writes fields that have their default value, as proto3 JSON's option. Default false.
	EmitDefaults bool `yaml:"emit_defaults"`
	// ProtoNames writes field names as the .proto file has them, as proto3 JSON's option. Default false.
	ProtoNames bool `yaml:"proto_names"`
	// EnumNumbers writes enums as numbers, as proto3 JSON's option. Default false.
	EnumNumbers bool `yaml:"enum_numbers"`
}

// EventName is where an event's name comes from, in YAML a string, {field: PATH} or
// {oneof: NAME}. The zero value is no name; at most one of the fields is set.
type EventName struct {
	// Constant is the name itself.
	Constant string `yaml:"-"`
	// Field is the path of a field that holds the name.
	Field string `yaml:"field"`
	// Oneof is a oneof of the message, whose set member gives the name.
	Oneof string `yaml:"oneof"`
}

// EventData is what is sent of a message, in YAML {message: true}, {field: PATH} or
// {oneof: NAME}. The zero value is the whole message; at most one field is set.
type EventData struct {
	// Field is the path of the field that is sent.
	Field string `yaml:"field"`
	// Oneof is a oneof of the message, whose set member is sent.
	Oneof string `yaml:"oneof"`
}

// Resume says how an RPC is opened at a cursor: the value of event.id that a client saw
// last.
type Resume struct {
	// Field is the path of the request field that takes the cursor (string, bytes, integer or
	// Timestamp, as event.id is). Required.
	Field string `yaml:"field"`
	// Inclusive says that the backend sends the cursor's own message again, which the bridge drops.
	// Default false.
	Inclusive bool `yaml:"inclusive"`
	// Offset is added to an integer cursor; a backend that starts at a revision, and not after it,
	// wants 1. Not with inclusive. Default 0.
	Offset int64 `yaml:"offset"`
	// Set gives fields constant values when resuming, over what request and the path say. Default
	// none.
	Set map[string]any `yaml:"set"`
	// Ordered says that all RPCs of the route give the same order, so that catch-ups may merge.
	// Default true.
	Ordered *bool `yaml:"ordered"`
	// Expired says how the backend tells that a cursor is too old.
	Expired Expired `yaml:"expired"`
	// MaxEvents bounds the events that a client is sent of what it has missed; beyond it
	// stream-gap expired is sent and the client begins anew. 0 is unlimited. Needs share: true and
	// ordered: true. Default 0.
	MaxEvents int `yaml:"max_events"`
	// MaxAge bounds how old a cursor may be, which is a google.protobuf.Timestamp; beyond it
	// stream-gap expired is sent and the client begins anew. 0s is unlimited. Default 0s.
	MaxAge Duration `yaml:"max_age"`
}

// Expired says how a backend tells that a cursor is too old.
type Expired struct {
	// Codes are the gRPC codes of an RPC that was opened at a cursor and failed before its first
	// message with a cursor; [] is none. Default [OUT_OF_RANGE, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION].
	Codes []string `yaml:"codes"`
	// Field is the path of a field of the response: a message that has it set says it in band, such
	// as compact_revision. Default none.
	Field string `yaml:"field"`
}

// Replay bounds the log of a topic, from which clients resume.
type Replay struct {
	// Events is how many events the log holds. Default 1024.
	Events int `yaml:"events"`
	// Bytes is how many bytes of frames the log holds. Default 8MiB.
	Bytes Size `yaml:"bytes"`
	// Age is how long an event is held. Default 10m.
	Age Duration `yaml:"age"`
	// Linger is how long the topic lives on after its last client left. Default 30s.
	Linger *Duration `yaml:"linger"`
}

// Heartbeat says how a silent stream is kept alive.
type Heartbeat struct {
	// Every is the time between heartbeats; 0s is off. Default 15s.
	Every *Duration `yaml:"every"`
	// As is what is sent: comment, or event (named heartbeat, without an id). Default comment.
	As string `yaml:"as"`
}
