package catalog

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/secret"
)

// webhooksMax bounds who is told: each has a queue of its own.
const webhooksMax = 16

// The kinds of events that a webhook may ask for.
const (
	TransitionEvent = "transition"
	AlertEvent      = "alert"
)

// Hook is a webhook, ready to be called.
type Hook struct {
	Name, URL    string
	Secret       secret.Secret
	Events       []string
	AllowPrivate bool
	// Problem says why it cannot be; empty means that it can.
	Problem string
}

// Wants reports that the webhook asked for that kind of event.
func (h *Hook) Wants(kind string) bool {
	return len(h.Events) == 0 || slices.Contains(h.Events, kind)
}

// webhooks judges all of them.
func (v *validator) webhooks() {
	all := v.cat.GetWebhooks()
	if len(all) > webhooksMax {
		v.add("webhooks", "", "has %d entries; %d are allowed", len(all), webhooksMax)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		path, hook := at("webhooks", name), all[name]
		if !idPattern.MatchString(name) {
			v.add(path, "", "must have a name of 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit")
		}
		v.webhookURL(at(path, "url"), hook)
		if hook.GetSecret() == "" {
			v.add(at(path, "secret"), "", "is missing: what is sent is signed with it")
		} else {
			v.key(at(path, "secret"), hook.GetSecret())
		}
		for i, event := range hook.GetEvents() {
			v.oneOf(index(at(path, "events"), i), event, TransitionEvent, AlertEvent)
		}
	}
}

func (v *validator) webhookURL(path string, hook *adminv1.Webhook) {
	where, err := url.Parse(hook.GetUrl())
	switch {
	case err != nil || where.Hostname() == "" || len(hook.GetUrl()) > urlMax && !sealedPath(hook.GetUrl()):
		v.add(path, "", "must be a URL of at most %d characters", urlMax)
	case hiddenPath(hook.GetUrl()):
		v.add(path, showOrigin(hook.GetUrl()), "stands for a stored URL, and none is stored here")
	case where.User != nil:
		v.add(path, secret.Redacted, "must not hold a user or password")
	case where.Scheme == "http" && !hook.GetAllowPrivateAddress() || where.Scheme != "http" && where.Scheme != "https":
		v.add(path, showOrigin(hook.GetUrl()), "must be https; http is for private addresses, with allow_private_address")
	}
}

// showOrigin is a webhook's URL for those who may not read it: what is behind the host is often all that keeps strangers out.
func showOrigin(text string) string {
	where, err := url.Parse(text)
	if err != nil || where.Host == "" {
		return secret.Redacted
	}
	return show("", where.Scheme+"://"+where.Host+"/"+secret.Redacted)
}

// urlMax bounds a webhook's URL.
const urlMax = 2048

// cutURL divides a webhook's URL into its origin and what is behind that. Receivers keep strangers out by what stands there, so it is kept as secrets are: in the
// catalog sealed, shown to nobody.
func cutURL(text string) (origin, path string) {
	from := strings.Index(text, "://") + len("://")
	if from < len("://") {
		return text, ""
	}
	if at := strings.IndexAny(text[from:], "/?#"); at >= 0 {
		return text[:from+at], text[from+at:]
	}
	return text, ""
}

func sealedPath(text string) bool {
	_, path := cutURL(text)
	return secret.IsSealedText(strings.TrimPrefix(path, "/"))
}

func hiddenPath(text string) bool {
	_, path := cutURL(text)
	return path == "/"+secret.Redacted
}

// RedactWebhook returns a copy as it may be shown: a secret that is kept here, and what is behind the URL's host, read [secret]; a reference stays.
func RedactWebhook(hook *adminv1.Webhook) *adminv1.Webhook {
	shown := proto.CloneOf(hook)
	if origin, path := cutURL(shown.GetUrl()); strings.Trim(path, "/") != "" {
		shown.Url = origin + "/" + secret.Redacted
	}
	if s := shown.GetSecret(); s != "" && !isReference(s) {
		shown.Secret = secret.Redacted
	}
	return shown
}

// MergeWebhook returns a copy of next in which [secret] is what old keeps, as long as the URL's origin stays.
func MergeWebhook(name string, old, next *adminv1.Webhook) (*adminv1.Webhook, []Problem) {
	merged, path := proto.CloneOf(next), at("webhooks", name)
	if hiddenPath(next.GetUrl()) {
		if !sameOrigin(old.GetUrl(), next.GetUrl()) {
			return nil, []Problem{{Path: at(path, "url"), Value: showOrigin(next.GetUrl()), Reason: "stands for the stored URL, which is not at that origin: enter the whole URL"}}
		}
		merged.Url = old.GetUrl()
	}
	if next.GetSecret() != secret.Redacted {
		return merged, nil
	}
	path = at(path, "secret")
	switch {
	case old.GetSecret() == "" || isReference(old.GetSecret()):
		return nil, []Problem{{Path: path, Value: secret.Redacted, Reason: "stands for a stored secret, and none is stored here"}}
	case !sameOrigin(old.GetUrl(), next.GetUrl()):
		return nil, []Problem{{Path: path, Value: secret.Redacted, Reason: "was entered for another origin: with a new one, enter the secret again"}}
	}
	merged.Secret = old.GetSecret()
	return merged, nil
}

// sealWebhooks seals every literal secret, and what is behind every URL's host, for its webhook and origin.
func sealWebhooks(stored *adminv1.Catalog, key secret.Key, nonce func() secret.Nonce, r *report) {
	for _, name := range slices.Sorted(maps.Keys(stored.GetWebhooks())) {
		hook := stored.GetWebhooks()[name]
		seal := func(field, literal string) (string, bool) {
			where, err := webhookBinding(name, field, hook)
			var sealed secret.Sealed
			if err == nil {
				sealed, err = secret.Seal(key, nonce(), secret.New(literal), where)
			}
			if err != nil {
				r.add(at(at("webhooks", name), field), secret.Redacted, "cannot be sealed: %v", err)
			}
			return sealed.Text(), err == nil
		}
		if s := hook.GetSecret(); s != "" && !isReference(s) && !secret.IsSealedText(s) {
			if text, ok := seal("secret", s); ok {
				hook.Secret = text
			}
		}
		if origin, path := cutURL(hook.GetUrl()); strings.Trim(path, "/") != "" && !sealedPath(hook.GetUrl()) {
			if text, ok := seal("url", path); ok {
				hook.Url = origin + "/" + text
			}
		}
	}
}

// webhookBinding is where one of a webhook's secrets may be used. No provider has a name with a stroke.
func webhookBinding(name, field string, hook *adminv1.Webhook) (secret.Binding, error) {
	origin, _ := cutURL(hook.GetUrl())
	if field != "secret" {
		name += "/" + field
	}
	return secret.Bind("webhook/"+name, origin)
}

// Hooks resolves the webhooks of a stored catalog, in the order of their names.
func Hooks(cat *adminv1.Catalog, env Env) []Hook {
	var all []Hook
	for _, name := range slices.Sorted(maps.Keys(cat.GetWebhooks())) {
		w := cat.GetWebhooks()[name]
		hook := Hook{Name: name, Events: w.GetEvents(), AllowPrivate: w.GetAllowPrivateAddress()}
		var err error
		if hook.Secret, err = hookSecret(name, w, env); err == nil {
			hook.URL, err = hookURL(name, w, env)
		}
		if err != nil {
			hook.Problem = err.Error()
		}
		all = append(all, hook)
	}
	return all
}

func hookURL(name string, w *adminv1.Webhook, env Env) (string, error) {
	if !sealedPath(w.GetUrl()) {
		return w.GetUrl(), nil // as earlier versions kept it
	}
	origin, path := cutURL(w.GetUrl())
	opened, err := openHook(name, "url", w, strings.TrimPrefix(path, "/"), env)
	return origin + opened.Reveal(), err
}

func hookSecret(name string, w *adminv1.Webhook, env Env) (secret.Secret, error) {
	if isReference(w.GetSecret()) {
		return findKey(w.GetSecret(), env)
	}
	return openHook(name, "secret", w, w.GetSecret(), env)
}

func openHook(name, field string, w *adminv1.Webhook, text string, env Env) (secret.Secret, error) {
	sealed, err := secret.FromText(text)
	if err != nil {
		return secret.Secret{}, err
	}
	where, err := webhookBinding(name, field, w)
	if err != nil {
		return secret.Secret{}, err
	}
	return secret.Open(env.Key, sealed, where)
}
