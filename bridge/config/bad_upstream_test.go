package config

import "testing"

// TestBadUpstream covers the keys outside of routes.
func TestBadUpstream(t *testing.T) {
	testBad(t, []badConfig{
		{
			"nothing in it", `upstreams: {}
routes: []
`, `
app.yaml:1:12: upstreams: at least one is needed
    upstreams: {}
               ^
app.yaml:2:9: routes: at least one is needed
    routes: []
            ^
`,
		},
		{
			"upstreams missing", "routes: [{path: /a, rpc: p.S/M, upstream: app}]\n", `
app.yaml:1:1: upstreams: at least one is needed
    routes: [{path: /a, rpc: p.S/M, upstream: app}]
    ^
`,
		},
		{
			"listen without a port", minimal + "listen: localhost\n", `
app.yaml:6:9: listen: must be host:port with a port from 0 to 65535, such as 127.0.0.1:8080, or ":8080" for every address
    listen: localhost
            ^
`,
		},
		{
			"listen empty", minimal + "listen: \"\"\n", `
app.yaml:6:9: listen: must be host:port with a port from 0 to 65535, such as 127.0.0.1:8080, or ":8080" for every address
    listen: ""
            ^
`,
		},
		{
			"listen as a number", minimal + "listen: 8080\n", `
app.yaml:6:9: listen: must be a string: "127.0.0.1:8080", or ":8080" for every address
    listen: 8080
            ^
`,
		},
		{
			"listen on a relative socket", minimal + "listen: unix:run/s.sock\n", `
app.yaml:6:9: listen: must be unix:// and the absolute path of a file, such as unix:///run/ssebridge.sock
    listen: unix:run/s.sock
            ^
`,
		},
		{
			"admin on a folder", minimal + "admin: unix:///run/\n", `
app.yaml:6:8: admin: must be unix:// and the absolute path of a file, such as unix:///run/ssebridge.sock
    admin: unix:///run/
           ^
`,
		},
		{
			"a mode that is not octal", minimal + "listen: unix:///run/s.sock?mode=rw\n", `
app.yaml:6:9: listen: after the path of a unix socket only its mode may follow, as ?mode=0660 (the default) or ?mode=0666
    listen: unix:///run/s.sock?mode=rw
            ^
`,
		},
		{
			"a mode with too many bits", minimal + "listen: unix:///run/s.sock?mode=4777\n", `
app.yaml:6:9: listen: after the path of a unix socket only its mode may follow, as ?mode=0660 (the default) or ?mode=0666
    listen: unix:///run/s.sock?mode=4777
            ^
`,
		},
		{
			"both on one socket", minimal + "listen: unix:///run/s.sock\nadmin: unix:///run/s.sock?mode=0600\n", `
app.yaml:7:8: admin: asks for the same address as listen; change the path of one
    admin: unix:///run/s.sock?mode=0600
           ^
`,
		},
		{
			"tls without its files", minimal + "tls: {client_ca: \"\"}\n", `
app.yaml:6:6: tls.cert: cert is required: the PEM file of the certificate
    tls: {client_ca: ""}
         ^
app.yaml:6:6: tls.key: key is required: the PEM file of the certificate's key
    tls: {client_ca: ""}
         ^
app.yaml:6:18: tls.client_ca: must not be empty; leave the key out if callers need no certificate
    tls: {client_ca: ""}
                     ^
`,
		},
		{
			"no networks", minimal + `trusted_proxies: [10.0.0.1/8, proxy, "fe80::1%eth0", null, "10.0.0.0/8"]`, `
app.yaml:6:19: trusted_proxies[0]: must be the network's own address: the bits behind its length are not zero
    trusted_proxies: [10.0.0.1/8, proxy, "fe80::1%eth0", null, "10.0.0.0/8"]
                      ^
app.yaml:6:31: trusted_proxies[1]: must be a network such as 10.0.0.0/8 or fd00::/8, or an IP address
    trusted_proxies: [10.0.0.1/8, proxy, "fe80::1%eth0", null, "10.0.0.0/8"]
                                  ^
app.yaml:6:38: trusted_proxies[2]: must be a network such as 10.0.0.0/8 or fd00::/8, or an IP address
    trusted_proxies: [10.0.0.1/8, proxy, "fe80::1%eth0", null, "10.0.0.0/8"]
                                         ^
app.yaml:6:54: trusted_proxies[3]: must not be null; remove it
    trusted_proxies: [10.0.0.1/8, proxy, "fe80::1%eth0", null, "10.0.0.0/8"]
                                                         ^
`,
		},
		{
			"a network outside of a list", minimal + "trusted_proxies: 10.0.0.0/8\n", `
app.yaml:6:18: trusted_proxies: must be a list of networks, such as [10.0.0.0/8], not a string
    trusted_proxies: 10.0.0.0/8
                     ^
`,
		},
		{
			"port out of range", minimal + "admin: localhost:99999\n", `
app.yaml:6:8: admin: must be host:port with a port from 0 to 65535, such as 127.0.0.1:9901, or ":9901" for every address, or "" for none
    admin: localhost:99999
           ^
`,
		},
		{
			"admin at the address of listen", minimal + `listen: ":8080"
admin: localhost:8080
`, `
app.yaml:7:8: admin: asks for the same address as listen; change the port of one
    admin: localhost:8080
           ^
`,
		},
		{
			"listen at the address of admin", minimal + "listen: \":9901\"\n", `
app.yaml:6:9: listen: asks for the same address as admin; change the port of one
    listen: ":9901"
            ^
`,
		},
		{
			"a large request does not fit into pending_bytes", minimal + "limits: {request_bytes: 16MiB}\n", `
app.yaml:6:25: limits.request_bytes: needs pending_bytes of at least 128MiB, 8 times as much; write it, too
    limits: {request_bytes: 16MiB}
                            ^
`,
		},
		{
			"no room for large requests", minimal + "limits: {pending_bytes: 256KiB}\n", `
app.yaml:6:25: limits.pending_bytes: must be at least 512KiB, 8 times request_bytes
    limits: {pending_bytes: 256KiB}
                            ^
`,
		},
		{
			"limits out of range", minimal + "limits: {topics: 0, request_bytes: 10B, message_bytes: 1GiB}\n", `
app.yaml:6:18: limits.topics: must be from 1 to 10000000
    limits: {topics: 0, request_bytes: 10B, message_bytes: 1GiB}
                     ^
app.yaml:6:36: limits.request_bytes: must be from 1KiB to 64MiB
    limits: {topics: 0, request_bytes: 10B, message_bytes: 1GiB}
                                       ^
app.yaml:6:56: limits.message_bytes: must be from 1KiB to 256MiB
    limits: {topics: 0, request_bytes: 10B, message_bytes: 1GiB}
                                                           ^
`,
		},
		{
			"drain out of range", minimal + "drain: {delay: -1s, grace: 100h}\n", `
app.yaml:6:16: drain.delay: must be from 0s to 1h
    drain: {delay: -1s, grace: 100h}
                   ^
app.yaml:6:28: drain.grace: must be from 0s to 1h
    drain: {delay: -1s, grace: 100h}
                               ^
`,
		},
		{
			"not supported at the top", minimal + `auth: {forward: {}, mtls: {}, tickets: {}}
`, `
app.yaml:6:8: auth.forward: forward is not supported yet; remove it
    auth: {forward: {}, mtls: {}, tickets: {}}
           ^
app.yaml:6:21: auth.mtls: mtls is not supported yet; remove it
    auth: {forward: {}, mtls: {}, tickets: {}}
                        ^
app.yaml:6:31: auth.tickets: tickets is not supported yet; remove it
    auth: {forward: {}, mtls: {}, tickets: {}}
                                  ^
`,
		},
		{
			"no clients, and limits by address out of range", minimal + "limits: {clients: 0, clients_per_ip: -1, opens_per_ip: 1000001}\n", `
app.yaml:6:19: limits.clients: must be from 1 to 10000000
    limits: {clients: 0, clients_per_ip: -1, opens_per_ip: 1000001}
                      ^
app.yaml:6:38: limits.clients_per_ip: must be from 0, which is no limit, to 10000000
    limits: {clients: 0, clients_per_ip: -1, opens_per_ip: 1000001}
                                         ^
app.yaml:6:56: limits.opens_per_ip: must be from 0, which is no limit, to 1000000
    limits: {clients: 0, clients_per_ip: -1, opens_per_ip: 1000001}
                                                           ^
`,
		},
		{
			"not supported protocol", oneUpstream + "    protocol: grpcweb\n", `
app.yaml:5:15: upstreams.app.protocol: grpcweb is not supported yet; must be grpc
        protocol: grpcweb
                  ^
`,
		},
		{
			"unknown protocol", oneUpstream + "    protocol: http\n", `
app.yaml:5:15: upstreams.app.protocol: must be grpc
        protocol: http
                  ^
`,
		},
		{
			"name of an upstream", oneUpstream + "  \"a b\": {target: \"localhost:1\"}\n", `
app.yaml:5:3: upstreams["a b"]: an upstream's name is letters, digits, '.', '_' and '-', at most 64 of them
      "a b": {target: "localhost:1"}
      ^
`,
		},
		{
			"target missing", oneUpstream + "  other: {}\n", `
app.yaml:5:10: upstreams.other.target: target is required; set it to the backend's address, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
      other: {}
             ^
`,
		},
		{
			"target empty", oneUpstream + "  other: {target: \"\"}\n", `
app.yaml:5:19: upstreams.other.target: target is required; set it to the backend's address, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
      other: {target: ""}
                      ^
`,
		},
		{
			"target without a port", oneUpstream + "  other: {target: localhost}\n", `
app.yaml:5:19: upstreams.other.target: must be host:port or a gRPC target with a scheme, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
      other: {target: localhost}
                      ^
`,
		},
		{
			"target as a URL", oneUpstream + "  other: {target: http://localhost:1}\n", `
app.yaml:5:19: upstreams.other.target: a gRPC target has no http://; write host:port, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
      other: {target: http://localhost:1}
                      ^
`,
		},
		{
			"target with a space", oneUpstream + "  other: {target: \"localhost :1\"}\n", `
app.yaml:5:19: upstreams.other.target: must be printable ASCII without spaces, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
      other: {target: "localhost :1"}
                      ^
`,
		},
		{
			"target without an address", oneUpstream + "  other: {target: \"unix://\"}\n", `
app.yaml:5:19: upstreams.other.target: names nothing after its scheme; write an address, such as 127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock
      other: {target: "unix://"}
                      ^
`,
		},
		{
			"upstream null", oneUpstream + "  other:\n", `
app.yaml:5:10: upstreams.other: must not be null; leave the key out for the default
      other:
            ^
`,
		},
		{
			"cert without key", oneUpstream + "    tls: {cert: a.crt}\n", `
app.yaml:5:17: upstreams.app.tls.cert: cert needs key, the file of its private key
        tls: {cert: a.crt}
                    ^
`,
		},
		{
			"key without cert", oneUpstream + "    tls: {key: a.key}\n", `
app.yaml:5:16: upstreams.app.tls.key: key needs cert, the file of its certificate
        tls: {key: a.key}
                   ^
`,
		},
		{
			"ca empty", oneUpstream + "    tls: {ca: \"\"}\n", `
app.yaml:5:15: upstreams.app.tls.ca: must not be empty; leave the key out for the default
        tls: {ca: ""}
                  ^
`,
		},
		{
			"server name with a port", oneUpstream + "    tls: {server_name: \"a:1\"}\n", `
app.yaml:5:24: upstreams.app.tls.server_name: must be a host's name without a port
        tls: {server_name: "a:1"}
                           ^
`,
		},
		{
			"metadata names", oneUpstream + "    metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, \":path\": a, \"a b\": a, user-agent: a, \"\": a}\n", `
app.yaml:5:26: upstreams.app.metadata.grpc-timeout: metadata "grpc-timeout" must not begin with grpc-, which is gRPC's own
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                             ^
app.yaml:5:43: upstreams.app.metadata.host: metadata "host" cannot be sent as metadata: it belongs to the connection; remove it
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                              ^
app.yaml:5:52: upstreams.app.metadata.te: metadata "te" cannot be sent as metadata: it belongs to the connection; remove it
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                                       ^
app.yaml:5:59: upstreams.app.metadata.connection: metadata "connection" cannot be sent as metadata: it belongs to the connection; remove it
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                                              ^
app.yaml:5:74: upstreams.app.metadata[":path"]: metadata ":path" must not begin with ":", which is HTTP/2's own
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                                                             ^
app.yaml:5:86: upstreams.app.metadata["a b"]: metadata "a b" must be letters, digits, '-', '_' and '.'
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                                                                         ^
app.yaml:5:96: upstreams.app.metadata.user-agent: metadata "user-agent" cannot be sent as metadata: it belongs to the connection; remove it
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                                                                                   ^
app.yaml:5:111: upstreams.app.metadata[""]: metadata "" must not be empty
        metadata: {Upper: a, grpc-timeout: a, host: a, te: a, connection: a, ":path": a, "a b": a, user-agent: a, "": a}
                                                                                                                  ^
`,
		},
		{
			"metadata that is binary", oneUpstream + "    metadata: {trace-bin: a}\n", `
app.yaml:5:16: upstreams.app.metadata.trace-bin: metadata "trace-bin" would be binary, and the value is a string; use a name without -bin
        metadata: {trace-bin: a}
                   ^
`,
		},
		{
			"metadata values", oneUpstream + "    metadata: {a: \"ä\", b: \" x\", c: \"a\\nb\"}\n", `
app.yaml:5:19: upstreams.app.metadata.a: must be printable ASCII without spaces at its edges
        metadata: {a: "ä", b: " x", c: "a\nb"}
                      ^
app.yaml:5:27: upstreams.app.metadata.b: must be printable ASCII without spaces at its edges
        metadata: {a: "ä", b: " x", c: "a\nb"}
                              ^
app.yaml:5:36: upstreams.app.metadata.c: must be printable ASCII without spaces at its edges
        metadata: {a: "ä", b: " x", c: "a\nb"}
                                       ^
`,
		},
		{
			"schema as another word", oneUpstream + "    schema: reflect\n", `
app.yaml:5:13: upstreams.app.schema: must be reflection, {descriptor_set: FILE} or {proto: {import_paths: [DIR], files: [FILE]}}
        schema: reflect
                ^
`,
		},
		{
			"schema empty", oneUpstream + "    schema: {}\n", `
app.yaml:5:13: upstreams.app.schema: must be reflection, {descriptor_set: FILE} or {proto: {import_paths: [DIR], files: [FILE]}}
        schema: {}
                ^
`,
		},
		{
			"schema as a list", oneUpstream + "    schema: [a]\n", `
app.yaml:5:13: upstreams.app.schema: must be reflection, {descriptor_set: FILE} or {proto: {import_paths: [DIR], files: [FILE]}}
        schema: [a]
                ^
`,
		},
		{
			"schema of two kinds", oneUpstream + "    schema: {descriptor_set: a, proto: {files: [a.proto]}}\n", `
app.yaml:5:40: upstreams.app.schema.proto: schema has descriptor_set and proto; keep one
        schema: {descriptor_set: a, proto: {files: [a.proto]}}
                                           ^
`,
		},
		{
			"schema without a file", oneUpstream + "    schema: {descriptor_set: \"\"}\n", `
app.yaml:5:30: upstreams.app.schema.descriptor_set: must name a file
        schema: {descriptor_set: ""}
                                 ^
`,
		},
		{
			"schema without sources", oneUpstream + "    schema: {proto: {import_paths: [a, a, \"\"]}}\n", `
app.yaml:5:21: upstreams.app.schema.proto.files: files is required: the .proto files to compile
        schema: {proto: {import_paths: [a, a, ""]}}
                        ^
app.yaml:5:40: upstreams.app.schema.proto.import_paths[1]: the same as upstreams.app.schema.proto.import_paths[0]; remove one of them
        schema: {proto: {import_paths: [a, a, ""]}}
                                           ^
app.yaml:5:43: upstreams.app.schema.proto.import_paths[2]: must not be empty
        schema: {proto: {import_paths: [a, a, ""]}}
                                              ^
`,
		},
		{
			"connections", oneUpstream + "    connections: 0\n", `
app.yaml:5:18: upstreams.app.connections: must be auto or a number from 1
        connections: 0
                     ^
`,
		},
		{
			"too many connections", oneUpstream + "    connections: 5000\n", `
app.yaml:5:18: upstreams.app.connections: must be auto or a number from 1 to 1024
        connections: 5000
                     ^
`,
		},
		{
			"opens", oneUpstream + "    opens: -1\n", `
app.yaml:5:12: upstreams.app.opens: must be from 1 to 1000000
        opens: -1
               ^
`,
		},
		{
			"timeouts", oneUpstream + `    open_timeout: 0s
    keepalive: 1s
`, `
app.yaml:5:19: upstreams.app.open_timeout: must be from 1ms to 1h
        open_timeout: 0s
                      ^
app.yaml:6:16: upstreams.app.keepalive: must be from 10s to 1h
        keepalive: 1s
                   ^
`,
		},
		{
			"balance", oneUpstream + `    balance: last
    health: yes
  b:
    target: localhost:1
    balance: {}
    health: {}
  c:
    target: localhost:1
    balance: {rebalance: 10ms}
  d:
    target: localhost:1
    balance: 3
`, `
app.yaml:5:14: upstreams.app.balance: must be spread, first or {rebalance: DURATION}
        balance: last
                 ^
app.yaml:6:13: upstreams.app.health: must be true, false or {service: NAME}
        health: yes
                ^
app.yaml:9:14: upstreams.b.balance: must be spread, first or {rebalance: DURATION}
        balance: {}
                 ^
app.yaml:10:13: upstreams.b.health: must be true, false or {service: NAME}
        health: {}
                ^
app.yaml:13:26: upstreams.c.balance.rebalance: must be from 1s to 24h
        balance: {rebalance: 10ms}
                             ^
app.yaml:16:14: upstreams.d.balance: must be spread, first or {rebalance: DURATION}
        balance: 3
                 ^
`,
		},
	})
}
