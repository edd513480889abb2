package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Commands of Serve, one a line; some take a number.
const (
	Connect = "connect" // a number of clients; answers when all have a response
	Start   = "start"   // opens a window
	Stop    = "stop"    // shuts it; a number of milliseconds that clients may be late
	Stall   = "stall"   // a number of clients stop reading
	Churn   = "churn"   // a number of clients come and go
)

// Reply is the answer to a command: one line of JSON.
type Reply struct {
	Error  string  `json:"error,omitempty"`
	Result *Result `json:"result,omitempty"` // of Stop
}

// Serve obeys the commands that come in until there are no more.
func Serve(ctx context.Context, params Params, in io.Reader, out io.Writer) (err error) {
	f, err := newFleet(ctx, params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	replies := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		result, failed := f.obey(ctx, lines.Text())
		reply := Reply{Result: result}
		if failed != nil {
			reply.Error = failed.Error()
		}
		if err := replies.Encode(reply); err != nil {
			return err
		}
	}
	return nil
}

// obey does what a line says.
func (f *fleet) obey(ctx context.Context, line string) (*Result, error) {
	command, argument, _ := strings.Cut(line, " ")
	number := 0
	if argument != "" {
		var err error
		if number, err = strconv.Atoi(argument); err != nil || number < 0 {
			return nil, fmt.Errorf("%q: not a number", line)
		}
	}
	switch command {
	case Connect:
		return nil, f.connect(ctx, number)
	case Start:
		return nil, f.start()
	case Stop:
		result, err := f.stop(ctx, time.Duration(number)*time.Millisecond)
		return &result, err
	case Stall:
		return nil, f.stall(number)
	case Churn:
		return nil, churn(ctx, f.params, number)
	default:
		return nil, fmt.Errorf("%q: no such command", line)
	}
}
