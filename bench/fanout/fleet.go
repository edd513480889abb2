package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/child"
	"github.com/ssebridge/ssebridge/bench/internal/load"
)

// fleet is a load generator in a process of its own.
type fleet struct {
	process *child.Process
	orders  io.WriteCloser
	replies *bufio.Reader
}

// attach starts a load generator for a contender, without clients yet. A window
// is told to only where the pace asks for one.
func (l *lab) attach(c *contender, want want, compressed bool) error {
	params := c.load
	if !want.windowed() {
		params.Window = ""
	}
	if params.Transport = want.transport; params.Transport == "" {
		params.Transport = load.HTTP1
	}
	f, err := l.fleet(params, compressed)
	if err == nil {
		c.lines = f
	}
	return err
}

// fleet starts a load generator; the words of within, if any, stand before its command.
func (l *lab) fleet(params load.Params, compressed bool, within ...string) (*fleet, error) {
	p, err := l.prepare("load", append(within, l.self, asLoad, "-addr", params.Addr, "-path", params.Path, "-transport", params.Transport,
		"-window", params.Window, "-buffer", strconv.Itoa(params.Buffer), "-compressed="+strconv.FormatBool(compressed))...)
	if err != nil {
		return nil, err
	}
	p.Cmd.Stdout = nil
	orders, err := p.Cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	replies, err := p.Cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &fleet{p, orders, bufio.NewReader(replies)}, p.Start()
}

// order has the load generator do something, and waits until it is done.
func (f *fleet) order(command string, number int) (*load.Result, error) {
	if _, err := fmt.Fprintf(f.orders, "%s %d\n", command, number); err != nil {
		return nil, errors.Join(err, f.process.Died())
	}
	line, err := f.replies.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", command, err, f.process.Last())
	}
	var reply load.Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		return nil, err
	}
	if reply.Error != "" {
		return nil, fmt.Errorf("%s: %s", command, reply.Error)
	}
	return reply.Result, nil
}

// connect adds clients.
func (f *fleet) connect(count int) error {
	_, err := f.order(load.Connect, count)
	return err
}

// stop shuts the window.
func (f *fleet) stop(patience time.Duration) (load.Result, error) {
	result, err := f.order(load.Stop, int(patience.Milliseconds()))
	if err != nil {
		return load.Result{}, err
	}
	return *result, nil
}

// close ends the load generator, and with it its clients.
func (f *fleet) close() {
	_ = f.orders.Close() // it ends by that
	select {
	case <-f.process.Done():
	case <-time.After(child.StopTimeout):
		f.process.Kill()
	}
}
