package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/ssebridge/ssebridge/bench/internal/event"
)

// line is a connection to the server. Its methods are called by one goroutine.
type line struct {
	connection net.Conn
	head       string        // of a request, up to its length
	free       chan struct{} // holds a token while no request waits for its answer
	done       chan struct{} // closed when no more answers come
	failed     error         // why; to be read when done is closed

	body, request []byte
}

// dial opens a line, and a goroutine that close joins.
func dial(ctx context.Context, to, path string) (*line, error) {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	l := &line{
		connection: connection,
		head:       "POST " + path + " HTTP/1.1\r\nHost: " + to + "\r\nContent-Type: application/json\r\nContent-Length: ",
		free:       make(chan struct{}, 1),
		done:       make(chan struct{}),
	}
	l.free <- struct{}{}
	go func() {
		defer close(l.done)
		l.failed = l.answers()
	}()
	return l, nil
}

// post writes a request as soon as the one before has been answered.
func (l *line) post(ctx context.Context, place uint64, sent time.Time) error {
	select {
	case <-l.free:
	case <-l.done:
		return l.failed
	case <-ctx.Done():
		return ctx.Err()
	}
	l.body = event.AppendJSON(l.body[:0], place, sent)
	l.request = append(l.request[:0], l.head...)
	l.request = strconv.AppendInt(l.request, int64(len(l.body)), 10)
	l.request = append(l.request, "\r\n\r\n"...)
	l.request = append(l.request, l.body...)
	_, err := l.connection.Write(l.request)
	return err
}

// answers reads the answers to all requests until the connection ends.
func (l *line) answers() error {
	in := bufio.NewReader(l.connection)
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
		if response.StatusCode >= http.StatusMultipleChoices {
			return fmt.Errorf("an event was refused: %s", response.Status)
		}
		l.free <- struct{}{} // taken by the request that was answered
	}
}

// close closes the line.
func (l *line) close() error {
	err := l.connection.Close()
	<-l.done
	return err
}
