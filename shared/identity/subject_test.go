package identity_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/aimux/aimux/shared/identity"
)

func TestSubject(t *testing.T) {
	for name, want := range map[string]string{
		"ada@example.com":             "jwt:ada@example.com",
		"a:b":                         "jwt:a:b",
		strings.Repeat("a", 128):      "jwt:" + strings.Repeat("a", 128),
		"a\nb":                        "jwt:a?b~7e18f737311b2dc3",
		"*":                           "jwt:*~684888c0ebb17f37",
		"":                            "jwt:~e3b0c44298fc1c14",
		"x~684888c0ebb17f37":          "",
		strings.Repeat("\u00e9", 200): "",
	} {
		got := identity.Subject("jwt", name)
		if want != "" && got != want {
			t.Errorf("%q is named %q, want %q", name, got, want)
		}
		if want == "" && (got == "jwt:"+name || len(got) > len("jwt:")+128 || !utf8.ValidString(got)) {
			t.Errorf("%q is named %q", name, got)
		}
		if issuer, ok := identity.IssuerOf(got); issuer != "jwt" || !ok {
			t.Errorf("%q is of %q", got, issuer)
		}
	}
	if _, ok := identity.IssuerOf("ci"); ok {
		t.Error("a client key has an issuer")
	}
}

// TestSubjectsDiffer: whoever may choose his name cannot choose that of another, nor the one for all others.
func TestSubjectsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(rapid.String(), rapid.StringN(100, 300, -1)).Draw(t, "a")
		b := rapid.OneOf(rapid.Just(strings.TrimPrefix(identity.Subject("jwt", a), "jwt:")), rapid.Just(a+" "), rapid.Just("*"), rapid.String()).Draw(t, "b")
		named := identity.Subject("jwt", a)
		if a != b && named == identity.Subject("jwt", b) {
			t.Fatalf("%q and %q are both %q", a, b, named)
		}
		if named == identity.OtherSubjects("jwt") || !utf8.ValidString(named) || len(named) > len("jwt:")+128 {
			t.Fatalf("%q is named %q", a, named)
		}
	})
}
