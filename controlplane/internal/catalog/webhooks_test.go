package catalog

import (
	"strings"
	"testing"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/secret"
)

// What is behind a webhook's host is kept and shown as secrets are, whatever it looks like; it is called as it was written down, and goes to no other host.
func TestWebhookURLs(t *testing.T) {
	key, random := secret.NewKey([secret.KeySize]byte{1}), byte(0)
	nonce := func() (n secret.Nonce) { random++; n[0] = random; return n }
	stored := func(url string) *adminv1.Catalog {
		t.Helper()
		cat, problems := SealLiterals(&adminv1.Catalog{Webhooks: map[string]*adminv1.Webhook{"pager": {Url: url, Secret: "a secret"}}}, key, nonce)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return cat
	}
	for url, shown := range map[string]string{
		"https://a.example": "https://a.example", "https://a.example/": "https://a.example/", "https://a.example:8443/T/B/canary": "https://a.example:8443/[secret]",
		"https://a.example?token=canary": "https://a.example/[secret]", "https://a.example/x?y=canary#z": "https://a.example/[secret]", "https://[2001:db8::1]/canary": "https://[2001:db8::1]/[secret]",
	} {
		cat := stored(url)
		hook := cat.GetWebhooks()["pager"]
		if strings.Contains(hook.GetUrl(), "canary") {
			t.Errorf("%s is kept as %s", url, hook.GetUrl())
		}
		if got := RedactWebhook(hook).GetUrl(); got != shown {
			t.Errorf("%s is shown as %s, want %s", url, got, shown)
		}
		if got := Hooks(cat, Env{Key: key})[0]; got.URL != url || got.Problem != "" {
			t.Errorf("%s is called as %s: %s", url, got.URL, got.Problem)
		}
		merged, problems := MergeWebhook("pager", hook, RedactWebhook(hook))
		if len(problems) > 0 || merged.GetUrl() != hook.GetUrl() || merged.GetSecret() != hook.GetSecret() {
			t.Errorf("%s, read and written back: %v %v", url, merged, problems)
		}
		again, _ := SealLiterals(cat, key, nonce)
		if again.GetWebhooks()["pager"].GetUrl() != hook.GetUrl() {
			t.Errorf("%s is sealed twice", url)
		}
	}
	old := stored("https://a.example/canary").GetWebhooks()["pager"]
	for _, elsewhere := range []string{"https://b.example/[secret]", "http://a.example/[secret]", "https://a.example:444/[secret]"} {
		if merged, problems := MergeWebhook("pager", old, &adminv1.Webhook{Url: elsewhere, Secret: "another"}); len(problems) == 0 {
			t.Errorf("the path goes to %s: %v", elsewhere, merged)
		}
	}
	if _, problems := MergeWebhook("pager", nil, &adminv1.Webhook{Url: "https://a.example/[secret]", Secret: "another"}); len(problems) == 0 {
		t.Error("a path that nobody has entered is taken")
	}
	moved := stored("https://a.example/canary")
	hook := moved.GetWebhooks()["pager"]
	hook.Url = strings.Replace(hook.GetUrl(), "a.example", "b.example", 1)
	if got := Hooks(moved, Env{Key: key})[0]; got.Problem == "" || strings.Contains(got.URL, "canary") {
		t.Errorf("moved by hand to another host, it is called as %s", got.URL)
	}
	if got := Hooks(&adminv1.Catalog{Webhooks: map[string]*adminv1.Webhook{"old": {Url: "https://a.example/clear", Secret: old.GetSecret()}}}, Env{Key: key})[0]; got.URL != "" && got.URL != "https://a.example/clear" {
		t.Errorf("what an earlier version kept is called as %s", got.URL)
	}
	v := &validator{cat: &adminv1.Catalog{Webhooks: map[string]*adminv1.Webhook{"pager": {Url: "https://a.example/[secret]", Secret: "s"}}}}
	v.webhooks()
	if len(v.done()) == 0 {
		t.Error("a URL that was only shown is taken for one")
	}
}
