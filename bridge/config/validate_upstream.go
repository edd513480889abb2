package config

import (
	"maps"
	"net"
	"slices"
	"strings"
)

// upstream checks one upstream.
func (v *validator) upstream(name string, at place) {
	u := v.config.Upstreams[name]
	const most = 64
	if !isPlainKey(strings.ReplaceAll(name, ".", "-")) || len(name) > most {
		v.errorAtKey(at.path, "an upstream's name is letters, digits, '.', '_' and '-', at most 64 of them")
	}

	v.target(at.key("target").path, u.Target)
	v.enum(at.key("protocol"), u.Protocol)
	if u.TLS != nil {
		v.tls(u.TLS, at.key("tls"))
	}
	names := slices.Sorted(maps.Keys(u.Metadata))
	for i, key := range names {
		if first := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, key) }); first < i {
			v.errorAtKey(at.key("metadata").mapKey(key).path, quoted(key)+" and "+quoted(names[first])+" are the same name; remove one")
		}
		v.staticMetadata(key, u.Metadata[key], at.key("metadata").mapKey(key))
	}
	v.schema(u.Schema, at.key("schema"))
	if u.Connections < 0 || u.Connections > maxConnections {
		v.errorf(at.key("connections").path, "must be auto or a number from 1 to %d", maxConnections)
	}
	if rebalance := at.key("balance").key("rebalance").path; u.Balance.Rebalance != 0 || v.has(rebalance) {
		v.duration(rebalance, u.Balance.Rebalance, seconds(1), 24*hour)
	}
	if u.Balance.First && u.Balance.Rebalance != 0 {
		v.errorf(at.key("balance").path, "first leaves nothing to rebalance; keep one")
	}
	v.number(at.key("opens").path, u.Opens, maxOpens)
	v.duration(at.key("open_timeout").path, u.OpenTimeout, least, hour)
	if u.Ping != nil {
		v.duration(at.key("ping").key("every").path, u.Ping.Every, 100*least, hour)
		v.duration(at.key("ping").key("timeout").path, u.Ping.Timeout, 100*least, hour)
	}
	// A shorter keepalive would keep probing backends that are merely silent.
	v.duration(at.key("keepalive").path, u.Keepalive, seconds(10), hour)
	v.reconnect(u.Reconnect, defaultReconnect(), "left at its default", at.key("reconnect"))
}

// target checks the form of a gRPC target, as far as it can be checked here.
func (v *validator) target(path, target string) {
	const forms = "127.0.0.1:50051, dns:///app:50051 or unix:///run/app.sock"
	scheme, rest, hasScheme := strings.Cut(target, ":")
	switch {
	case target == "":
		v.errorf(path, "target is required; set it to the backend's address, such as %s", forms)
		return
	case strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r > '~' }):
		v.errorf(path, "must be printable ASCII without spaces, such as %s", forms)
		return
	case hasScheme && (scheme == "http" || scheme == "https"):
		v.errorf(path, "a gRPC target has no %s://; write host:port, such as %s", scheme, forms)
		return
	case hasScheme && isScheme(scheme):
		if strings.Trim(rest, "/") == "" {
			v.errorf(path, "names nothing after its scheme; write an address, such as %s", forms)
		}
		return
	case strings.Contains(target, "://"):
		return // package upstream checks for a resolver
	}
	if _, port, err := net.SplitHostPort(target); err != nil || port == "" { // ":50051" is this machine's
		v.errorf(path, "must be host:port or a gRPC target with a scheme, such as %s", forms)
	}
}

func isScheme(s string) bool {
	switch s {
	case "dns", "unix", "unix-abstract", "passthrough", "ipv4", "ipv6":
		return true
	default:
		return false
	}
}

func (v *validator) tls(t *TLS, at place) {
	for _, f := range []struct{ key, value string }{
		{"ca", t.CA}, {"cert", t.Cert}, {"key", t.Key}, {"server_name", t.ServerName},
	} {
		if path := at.key(f.key).path; f.value == "" && v.has(path) {
			v.errorf(path, "must not be empty; leave the key out for the default")
		}
	}
	switch {
	case t.Cert != "" && t.Key == "" && !v.refused(at.key("key").path):
		v.errorf(at.key("cert").path, "cert needs key, the file of its private key")
	case t.Key != "" && t.Cert == "" && !v.refused(at.key("cert").path):
		v.errorf(at.key("key").path, "key needs cert, the file of its certificate")
	}
	if strings.ContainsAny(t.ServerName, ":/ ") || !isPrintableASCII(t.ServerName) {
		v.errorf(at.key("server_name").path, "must be a host's name without a port")
	}
}

// staticMetadata checks a name and a value that are sent with every call. An empty value is valid: it
// is dropped, so that a variable can disable the metadata.
func (v *validator) staticMetadata(name, value string, at place) {
	switch wrong := badMetadataName(name); {
	case wrong != "":
		v.errorAtKey(at.path, "metadata "+quoted(name)+" "+wrong)
	case strings.HasSuffix(strings.ToLower(name), "-bin"):
		v.errorAtKey(at.path, "metadata "+quoted(name)+" would be binary, and the value is a string; use a name without -bin")
	case !isPrintableASCII(value):
		v.errorf(at.path, "must be printable ASCII without spaces at its edges")
	}
}

func (v *validator) schema(s Schema, at place) {
	switch {
	case s.DescriptorSet != "" && s.Proto != nil:
		v.errorf(at.key("proto").path, "schema has descriptor_set and proto; keep one")
	case s.DescriptorSet == "" && v.has(at.key("descriptor_set").path):
		v.errorf(at.key("descriptor_set").path, "must name a file")
	}
	if s.Proto == nil {
		return
	}
	at = at.key("proto")
	if len(s.Proto.Files) == 0 {
		v.errorf(at.key("files").path, "files is required: the .proto files to compile")
	}
	v.fileNames(s.Proto.Files, at.key("files"))
	v.fileNames(s.Proto.ImportPaths, at.key("import_paths"))
}

// fileNames checks a list of files: none is empty or repeated.
func (v *validator) fileNames(names []string, at place) {
	for i, name := range names {
		path := at.index(i).path
		switch first := slices.Index(names, name); {
		case name == "":
			v.errorf(path, "must not be empty")
		case first < i:
			v.errorf(path, "the same as %s; remove one of them", at.index(first).path)
		}
	}
}
