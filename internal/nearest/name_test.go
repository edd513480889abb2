package nearest

import "testing"

func TestName(t *testing.T) {
	t.Parallel()

	known := []string{"heartbeat", "request", "replay", "retry", "x-user", "d", "key", "to", "id", "limit", "room_id", "roomId"}
	for word, want := range map[string]string{
		"hartbeat": "heartbeat", "heartbeet": "heartbeat", "HEARTBEAT": "heartbeat", "rpelay": "replay",
		"x_user": "x-user", "roomid": "roomId", "Room-Id": "room_id", "limt": "limit", "kye": "key", "KEY": "key", "ID": "id",
		"": "", "_": "", "__": "", "_ts": "", "a": "", "t": "", "_d": "", "D": "d", "x": "", "ab": "", "ts": "", "utm_source": "", "zzz": "",
		"v2": "", "_id": "", "room": "room_id", "user": "x-user", "use": "", "oom": "",
	} {
		if got := Name(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}

	long := string(make([]byte, 65))
	if got := Name(long, []string{long}); got != "" {
		t.Errorf("got %q", got)
	}

	if got := Name("abc", []string{long}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abcd", "badc", 2},
		{"kitten", "sitting", 3},
		{"a", "b", 1},
		{"ab", "ba", 1},
	} {
		if got := Distance(c.a, c.b); got != c.want || Distance(c.b, c.a) != c.want {
			t.Errorf("%q, %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
