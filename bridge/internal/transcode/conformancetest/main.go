package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	protos := flag.String("protos", "", "folder with the suite's .proto files")
	report := flag.String("report", "", "file to write the report to")
	flag.Parse()

	if err := run(*protos, *report); err != nil {
		fmt.Fprintln(os.Stderr, "conformancetest:", err)
		os.Exit(1)
	}
}

// run answers the runner's requests on standard input until it ends.
func run(protos, report string) error {
	t, err := newTestee(context.Background(), protos)
	if err != nil {
		return err
	}

	in := bufio.NewReader(os.Stdin)

	for {
		request, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return writeReport(&t.report, report)
		}

		if err != nil {
			return err
		}

		response, err := t.answer(request)
		if err != nil {
			return err
		}

		if err := writeFrame(os.Stdout, response); err != nil {
			return err
		}
	}
}

// writeReport writes the report unless it is empty: the runner starts a process for each of its suites.
func writeReport(r *report, path string) error {
	if len(r.ways) == 0 {
		return nil
	}

	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.write(out), out.Close())
}

// maxFrame is the largest accepted length of a request.
const maxFrame = 64 << 20

// readFrame reads a message after its length in four bytes.
func readFrame(in io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, err
	}

	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("a request of %d bytes", n)
	}

	frame := make([]byte, n)
	_, err := io.ReadFull(in, frame)
	return frame, err
}

func writeFrame(out io.Writer, frame []byte) error {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(frame)))
	_, err := out.Write(append(head, frame...))
	return err
}
