package demo

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	demov1 "github.com/ssebridge/ssebridge/gen/ssebridge/demo/v1"
)

// generate collects an answer, and checks that its tokens are numbered from 0.
func generate(t *testing.T, req *demov1.GenerateRequest) (string, error) {
	t.Helper()
	conn, _ := startBackend(t)
	stream, err := demov1.NewTokenServiceClient(conn).Generate(within(t), req)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for want := int32(0); ; want++ {
		token, err := stream.Recv()
		if err != nil {
			return text.String(), err
		}
		if token.GetIndex() != want {
			t.Fatalf("token %d, want %d", token.GetIndex(), want)
		}
		text.WriteString(token.GetText())
	}
}

func TestTokensJoinToTheWholeAnswer(t *testing.T) {
	prompt := "What is a heartbeat good for?"
	got, err := generate(t, &demov1.GenerateRequest{Prompt: prompt, Delay: durationpb.New(0)})
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if want := answer(prompt); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if !strings.HasSuffix(got, "And that is all there is to say about heartbeat.") {
		t.Fatalf("the end is missing: %s", got)
	}
}

func TestTokensStopAtTheMost(t *testing.T) {
	got, err := generate(t, &demov1.GenerateRequest{Prompt: "short", MaxTokens: 3, Delay: durationpb.New(0)})
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if n := len(strings.Fields(got)); n == 0 || n > 3 {
		t.Fatalf("got %q", got)
	}
}

func TestTokensRefuseValuesOutOfBounds(t *testing.T) {
	for name, req := range map[string]*demov1.GenerateRequest{
		"no prompt":         {},
		"a prompt too long": {Prompt: strings.Repeat("x", maxPrompt+1)},
		"no duration":       {Prompt: "x", Delay: &durationpb.Duration{Nanos: 2_000_000_000}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := generate(t, req)
			wantCode(t, err, codes.InvalidArgument)
		})
	}
}

func TestTokenDelayIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		in   *durationpb.Duration
		want time.Duration
	}{
		"unset":     {nil, defaultDelay},
		"negative":  {durationpb.New(-1), defaultDelay},
		"none":      {durationpb.New(0), 0},
		"very long": {durationpb.New(time.Hour), maxTokenDelay},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := delayOf(tc.in); err != nil || got != tc.want {
				t.Fatalf("got %v, %v; want %v", got, err, tc.want)
			}
		})
	}
}

func TestAnswersAreTheSameForTheSamePrompt(t *testing.T) {
	one := answer("one prompt")
	if again := answer("one prompt"); again != one {
		t.Error("two answers to one prompt")
	}
	if another := answer("another prompt"); another == one {
		t.Error("one answer to two prompts")
	}
}

func TestSubjectIsTheLongestWordThatMeansSomething(t *testing.T) {
	for prompt, want := range map[string]string{
		"How does backpressure feel?": "backpressure",
		"Explain what is":             "is",
		"":                            "this",
		"?!":                          "this",
		strings.Repeat("x", 33):       "this",
		"Große Überraschung":          "überraschung",
		"\xff\xfebroken":              "broken",
		"<script>alert(1)</script>":   "script",
	} {
		if got := subjectOf(prompt); got != want {
			t.Errorf("subjectOf(%q) = %q, want %q", prompt, got, want)
		}
	}
}

func FuzzTokensLoseNothing(f *testing.F) {
	for _, text := range []string{"", " ", "a", "ä", "one two", "  spaces  ", "verylongwordswithoutend", "日本語日本語日本語日本語"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var joined strings.Builder
		for _, piece := range tokensOf(text, len(text)+1) {
			if piece == "" {
				t.Fatal("an empty token")
			}
			joined.WriteString(piece)
		}
		if joined.String() != text {
			t.Fatalf("%q became %q", text, joined.String())
		}
	})
}
