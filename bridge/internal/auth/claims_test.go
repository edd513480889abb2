package auth

import (
	"encoding/json"
	"strings"
	"testing"
)

// claimsOf reads claims as they are in a token.
func claimsOf(t *testing.T, text string) Claims {
	t.Helper()
	var claims Claims
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestLookup covers paths of claims.
func TestLookup(t *testing.T) {
	claims := claimsOf(t, `{"sub":"ada","org":{"id":7,"a.b":{"c":true}},"https://example.com/roles":["x"],"org.name":"flat","nothing":null}`)
	for path, want := range map[string]string{
		"sub": `"ada"`, "org.id": `7`, "org.a.b.c": `true`, "https://example.com/roles": `["x"]`, "org.name": `"flat"`, "nothing": `null`,
		"org.x": "", "sub.x": "", "": "", ".": "", "org.": "",
	} {
		value, found := claims.Lookup(path)
		got := ""
		if found {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
}

// TestKeyOf covers which claims make two clients one.
func TestKeyOf(t *testing.T) {
	base := `{"sub":"ada","scope":"a b","groups":["x","y"],"org":{"id":1,"n":2},"exp":1,"iat":2,"nbf":3,"jti":"4","sid":"5","nonce":"6"}`
	for _, c := range []struct {
		name, other, issuer string
		by                  []string
		same                bool
	}{
		{"renewed", `{"sub":"ada","scope":"b  a a","groups":["x","y"],"org":{"n":2,"id":1},"exp":9,"iat":9,"jti":"9","sid":"9","auth_time":9}`, "me", nil, true},
		{"another user", strings.Replace(base, "ada", "eve", 1), "me", nil, false},
		{"another issuer", base, "you", nil, false},
		{"a list in another order", strings.Replace(base, `"x","y"`, `"y","x"`, 1), "me", nil, false},
		{"a further claim", strings.Replace(base, `{`, `{"admin":true,`, 1), "me", nil, false},
		{"a claim that does not count", strings.Replace(base, `{`, `{"admin":true,`, 1), "me", []string{"sub"}, true},
		{"a claim that counts", strings.Replace(base, "ada", "eve", 1), "me", []string{"sub"}, false},
		{"a claim within a claim", strings.Replace(base, `"id":1`, `"id":2`, 1), "me", []string{"org.id"}, false},
		{"a claim that is missing", strings.Replace(base, `"sub":"ada",`, "", 1), "me", []string{"sub"}, false},
		{"the same claims of another issuer", base, "you", []string{"sub"}, false},
		{"everybody", `{"sub":"eve"}`, "you", []string{}, true},
	} {
		a, b := KeyOf("me", claimsOf(t, base), c.by), KeyOf(c.issuer, claimsOf(t, c.other), c.by)
		if (a == b) != c.same {
			t.Errorf("%s: the keys are equal: %t", c.name, a == b)
		}
	}
}

// TestConditions covers each kind of condition, with each kind of value.
func TestConditions(t *testing.T) {
	claims := claimsOf(t, `{"scope":"a b:c","roles":["x",7,true],"level":7,"admin":true,"org":{"id":"acme"},"empty":"","nothing":null}`)
	params := map[string]string{"org": "acme", "empty": ""}
	for _, c := range []struct {
		condition Condition
		want      bool
	}{
		{Condition{Claim: "level", Equals: "7"}, true},
		{Condition{Claim: "level", Equals: "8"}, false},
		{Condition{Claim: "admin", Equals: "true"}, true},
		{Condition{Claim: "org.id", Equals: "{org}"}, true},
		{Condition{Claim: "org.id", Equals: "{empty}"}, false},
		{Condition{Claim: "empty", Equals: "{empty}"}, false},
		{Condition{Claim: "org", Equals: "{org}"}, false},
		{Condition{Claim: "missing", Equals: "{missing}"}, false},
		{Condition{Claim: "roles", Equals: "x"}, false},
		{Condition{Claim: "level", In: []string{"6", "7"}}, true},
		{Condition{Claim: "level", In: []string{"6"}}, false},
		{Condition{Claim: "scope", Has: "b:c"}, true},
		{Condition{Claim: "scope", Has: "b"}, false},
		{Condition{Claim: "scope", Has: "a b:c"}, false},
		{Condition{Claim: "roles", Has: "x"}, true},
		{Condition{Claim: "roles", Has: "7"}, true},
		{Condition{Claim: "roles", Has: "y"}, false},
		{Condition{Claim: "org", Has: "id"}, false},
		{Condition{Claim: "empty", Exists: true}, true},
		{Condition{Claim: "nothing", Exists: true}, false},
		{Condition{Claim: "missing", Exists: true}, false},
	} {
		if got := c.condition.holds(claims, params); got != c.want {
			t.Errorf("%+v holds: %t", c.condition, got)
		}
	}
}
