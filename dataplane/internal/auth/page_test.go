package auth_test

import (
	"testing"
	"time"

	"github.com/aimux/aimux/dataplane/internal/auth"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// A browser stands where its user stands: the pages that it shows may not use what is open there without a key.
func TestPagesOfOthers(t *testing.T) {
	nobody, open := table(t, nil), table(t, &tablev1.Auth{Anonymous: true})
	with := table(t, &tablev1.Auth{Anonymous: true, Callers: []*tablev1.Caller{{Id: "ada", Hash: hashOf("ada")}}})
	for _, row := range []struct {
		origin, host      string
		loopback, exposed bool // without a key, on a loopback listener without keys; where anonymous callers are allowed
	}{
		{"", "127.0.0.1:8080", true, true},
		{"", "[::1]:8080", true, true},
		{"", "localhost:8080", true, true},
		{"", "aimux:8080", true, true},
		{"", "10.0.0.7", true, true},
		{"", "", true, true}, // HTTP/1.0
		{"", "evil.example:8080", false, true},
		{"", "127.0.0.1.evil.example", false, true},
		{"http://evil.example:8080", "evil.example:8080", false, true}, // rebound: of its own origin, by its name
		{"https://evil.example", "127.0.0.1:8080", false, false},
		{"http://localhost.evil.example", "localhost:8080", false, false},
		{"null", "127.0.0.1:8080", false, false},
		{"http://localhost:3000", "127.0.0.1:8080", true, true},
		{"http://127.0.0.1:3000", "localhost:8080", true, true},
		{"http://app.localhost", "localhost:8080", true, true},
		{"vscode-webview://x", "127.0.0.1:8080", true, true},
		{"https://gateway.example.com", "gateway.example.com", false, true},
	} {
		said := auth.Said{Origin: row.origin, Host: row.host}
		for name, at := range map[string]struct {
			door *auth.Door
			want bool
		}{
			"loopback": {door(t, auth.Config{Loopback: true}, time.Now, nobody), row.loopback}, "anonymous": {door(t, auth.Config{}, time.Now, open), row.exposed},
		} {
			trusting := nobody
			if name == "anonymous" {
				trusting = open
			}
			if _, f := at.door.Check(t.Context(), trusting, said); (f == nil) != at.want {
				t.Errorf("%s: origin %q, host %q: %v", name, row.origin, row.host, f)
			}
		}
		said.APIKey = []string{keyOf("ada", 1)}
		if caller, f := door(t, auth.Config{}, time.Now, with).Check(t.Context(), with, said); f != nil || caller.Name != "ada" {
			t.Errorf("with a key: origin %q, host %q: %v", row.origin, row.host, f)
		}
	}
}
