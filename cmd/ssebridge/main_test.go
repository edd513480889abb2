package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ssebridge": main, "activate": activate})
}

// TestCommand runs the scripts in testdata, each against the real command in processes
// of its own. Beside testscript's own commands they have:
//
//	freeport NAME          puts an address without a listener into $NAME
//	await URL [PATTERN]    waits until URL answers 200 (with PATTERN in its first bytes)
//	listening ADDR         waits until ADDR accepts connections
//	flood ADDR COUNT       connects so many times, and says nothing, until the script ends
//	take ADDR              listens on ADDR until the script ends
//	certificate NAME       writes a certificate for 127.0.0.1 and its key, NAME.crt and NAME.key
//	sigterm                sends SIGTERM to the command that runs in the background
func TestCommand(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			for name, path := range map[string]string{"DEMO_YAML": "internal/demo/demo.yaml", "EXAMPLES": "../../examples", "PROTO": "../../proto"} {
				absolute, err := filepath.Abs(path)
				if err != nil {
					return err
				}
				env.Setenv(name, absolute)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"freeport":    positive("freeport NAME", 1, 1, freePort),
			"await":       positive("await URL [PATTERN]", 1, 2, await),
			"listening":   positive("listening ADDR", 1, 1, listening),
			"flood":       positive("flood ADDR COUNT", 2, 2, flood),
			"take":        positive("take ADDR", 1, 1, take),
			"certificate": positive("certificate NAME", 1, 1, certificate),
			"sigterm":     positive("sigterm", 0, 0, sigterm),
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// positive makes a script command that cannot be negated and has that many arguments.
func positive(usage string, least, most int, run func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least || len(args) > most {
			ts.Fatalf("usage: %s", usage)
		}
		run(ts, args)
	}
}

func freePort(ts *testscript.TestScript, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], listener.Addr().String())
	ts.Check(listener.Close())
}

func take(ts *testscript.TestScript, args []string) {
	listener, err := net.Listen("tcp", args[0])
	ts.Check(err)
	ts.Defer(func() { ts.Check(listener.Close()) })
}

func flood(ts *testscript.TestScript, args []string) {
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	for range count {
		conn, err := net.DialTimeout("tcp", args[0], time.Second)
		if err != nil {
			return // the queue is full, too
		}
		ts.Defer(func() { _ = conn.Close() })
	}
}

func certificate(ts *testscript.TestScript, args []string) {
	ts.Check(makeCertificate(args[0], ts.MkAbs(args[0])))
}

// makeCertificate writes a certificate for 127.0.0.1 and its key, path.crt and path.key.
func makeCertificate(name, path string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path+name, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func sigterm(ts *testscript.TestScript, _ []string) {
	for _, command := range ts.BackgroundCmds() {
		ts.Check(command.Process.Signal(syscall.SIGTERM))
	}
}

func listening(ts *testscript.TestScript, args []string) {
	retry(ts, args[0], func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", args[0])
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func await(ts *testscript.TestScript, args []string) {
	retry(ts, args[0], func(ctx context.Context) (err error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, answer.Body.Close()) }()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		var seen strings.Builder
		for len(args) > 1 && !strings.Contains(seen.String(), args[1]) {
			if _, err := io.CopyN(&seen, answer.Body, 1); err != nil {
				return errors.Join(err, errors.New("read: "+seen.String()))
			}
		}
		return nil
	})
}

// retry tries something until it works, for a minute at most.
func retry(ts *testscript.TestScript, what string, try func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	again := time.NewTicker(25 * time.Millisecond)
	defer again.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("%s: %v", what, err)
		}
	}
}
