package main

import "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

// events is a marshaler that makes an event of each message.
type events struct {
	runtime.JSONPb
}

// ContentType is that of the stream.
func (*events) ContentType(any) string { return "text/event-stream" }

// Marshal makes an event of what the gateway wraps a stream's message in.
func (e *events) Marshal(value any) ([]byte, error) {
	if wrapped, ok := value.(map[string]any); ok && wrapped["result"] != nil {
		value = wrapped["result"]
	}
	text, err := e.JSONPb.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append([]byte("data: "), text...), nil
}

// Delimiter ends an event.
func (*events) Delimiter() []byte { return []byte("\n\n") }
