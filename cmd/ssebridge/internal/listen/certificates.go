package listen

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/internal/regular"
)

// maxPEM bounds a file of certificates: the roots of a whole system are a fifth of it.
const maxPEM = 1 << 20

// Certificates are the TLS of a listener, from files that may be replaced while it is
// served: each handshake is done with what was loaded last, and connections live on with
// what they began with.
//
// With a client_ca no session is resumed: a ticket would speak for a client whose
// certificate is not looked at again, though its CA may have been taken out meanwhile.
type Certificates struct {
	current atomic.Pointer[tls.Config]

	mu     sync.Mutex // one load at a time
	loaded [sha256.Size]byte
}

// NewCertificates loads the files that a configuration names. Errors are [config.Errors].
func NewCertificates(files config.ServerTLS) (*Certificates, error) {
	c := &Certificates{}
	if _, err := c.Load(files); err != nil {
		return nil, err
	}
	return c, nil
}

// Load takes what the files hold now, for handshakes from now on, and reports whether
// that is something else than before. An error, which is [config.Errors], changes nothing.
func (c *Certificates) Load(files config.ServerTLS) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	material, err := read(files)
	if err != nil {
		return false, err
	}
	sum := material.sum()
	if c.current.Load() != nil && sum == c.loaded {
		return false, nil
	}
	fresh, err := material.config()
	if err != nil {
		return false, err
	}
	c.current.Store(fresh)
	c.loaded = sum
	return true, nil
}

// Expires returns until when the certificate that is presented is valid.
func (c *Certificates) Expires() time.Time {
	_, until := c.Validity()
	return until
}

// Validity returns from when until when the certificate that is presented is valid.
func (c *Certificates) Validity() (from, until time.Time) {
	leaf := c.current.Load().Certificates[0].Leaf
	return leaf.NotBefore, leaf.NotAfter
}

// Config is for the http.Server that serves the listener.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         protocols(),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}
}

// protocols are offered by ALPN (RFC 7301), the preferred first.
func protocols() []string { return []string{"h2", "http/1.1"} }

// material is the content of the files.
type material struct {
	files               config.ServerTLS
	cert, key, clientCA []byte
}

// read reads all files, and says of each that cannot be read why.
func read(files config.ServerTLS) (material, error) {
	m := material{files: files}
	var wrong config.Errors
	for _, f := range []struct {
		key, name string
		into      *[]byte
	}{{"cert", files.Cert, &m.cert}, {"key", files.Key, &m.key}, {"client_ca", files.ClientCA, &m.clientCA}} {
		if f.name == "" {
			continue
		}
		data, err := readPEM(f.name)
		if err == nil && !isWhole(data) {
			err = errCut
		}
		if err != nil {
			wrong = append(wrong, &config.Error{Path: "tls." + f.key, Message: err.Error(), Cause: err})
		}
		*f.into = data
	}
	if len(wrong) > 0 {
		return material{}, wrong
	}
	return m, nil
}

func readPEM(name string) ([]byte, error) {
	data, err := regular.Read(name, maxPEM)
	if err != nil {
		return nil, regular.Unreadable(err, "a PEM file")
	}
	return data, nil
}

// errCut says that a file is being written, or was not written to its end: its whole
// blocks could be read, but the certificates behind them would be missing.
var errCut = errors.New("a PEM block in the file is cut or broken; write it again")

// isWhole reports whether each block that begins in a PEM file can be read.
func isWhole(text []byte) bool {
	begun := bytes.Count(append([]byte{'\n'}, text...), []byte("\n-----BEGIN "))
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		begun--
	}
	return begun == 0
}

// sum tells one material from another.
func (m material) sum() [sha256.Size]byte {
	return sha256.Sum256(bytes.Join([][]byte{m.cert, m.key, m.clientCA, []byte(m.files.ClientCA)}, []byte{0}))
}

// config returns the configuration of a handshake.
func (m material) config() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(m.cert, m.key)
	if err != nil {
		return nil, config.Errors{m.wrongPair(err)}
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   protocols(),
		Certificates: []tls.Certificate{pair},
	}
	if m.files.ClientCA != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(m.clientCA) {
			return nil, config.Errors{config.Errorf("tls.client_ca",
				"the file holds no certificate that can be read; it must hold those of the CAs that sign callers' certificates, as PEM")}
		}
		c.ClientCAs, c.ClientAuth = roots, tls.RequireAndVerifyClientCert
		c.SessionTicketsDisabled = true // see Certificates
	}
	return c, nil
}

// wrongPair says which of the two files is wrong. The key's content is in no message.
func (m material) wrongPair(err error) *config.Error {
	if certs, _ := x509.ParseCertificates(der(m.cert)); len(certs) == 0 {
		return config.Errorf("tls.cert",
			"the file holds no certificate that can be read; it must hold the server's, then those between it and its root, as PEM")
	}
	return config.Errorf("tls.key", "the file does not fit tls.cert (%v); it must hold the private key of the first certificate there, as PEM", err)
}

// der is the first certificate of a PEM file, decoded.
func der(text []byte) []byte {
	for {
		block, rest := pem.Decode(text)
		switch {
		case block == nil:
			return nil
		case block.Type == "CERTIFICATE":
			return block.Bytes
		}
		text = rest
	}
}
