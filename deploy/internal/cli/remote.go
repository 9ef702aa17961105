package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

// adminDefault is where aimux up and a control plane answer operators unless they are told otherwise.
const adminDefault = "http://127.0.0.1:8081"

// remote is what every command over the admin API shares.
type remote struct {
	Admin      string `help:"Where the admin API is." default:"${admin}" env:"AIMUX_ADMIN" placeholder:"URL"`
	Token      string `help:"The admin API's token; default: that of the process at this address, if this user runs it on this machine." env:"AIMUX_TOKEN" placeholder:"TOKEN"`
	TokenFile  string `help:"A file with the token." env:"AIMUX_TOKEN_FILE" placeholder:"FILE"`
	CA         string `name:"ca" help:"Authorities of the admin API's certificate, PEM; default: the system's." env:"AIMUX_CA" placeholder:"FILE"`
	ClientCert string `help:"Certificate to show to the admin API." env:"AIMUX_CLIENT_CERT" placeholder:"FILE"`
	ClientKey  string `help:"Key of that certificate." env:"AIMUX_CLIENT_KEY" placeholder:"FILE"`
	Output     string `short:"o" help:"How to print: text or json." enum:"text,json" default:"text"`
}

// dial returns the HTTP client and the base URL of the admin API. Only watching outlives the client's patience, by its own context.
func (r *remote) dial() (*http.Client, string) {
	base := r.base()
	return &http.Client{
		Transport: &bearer{remote: r, base: base, next: &http.Transport{ResponseHeaderTimeout: 30 * time.Second, DialTLSContext: r.dialTLS, ForceAttemptHTTP2: true}},
		// The admin API redirects nobody; who does shall not get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, base
}

// dialTLS connects by the certificates that the flags name.
func (r *remote) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	keeper, err := certs.Open(certs.Files{Cert: r.ClientCert, Key: r.ClientKey, CA: r.CA}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := keeper.Client(host)
	config.NextProtos = []string{"h2", "http/1.1"}
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

func (r *remote) base() string {
	base := strings.TrimSuffix(r.Admin, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return base
}

// token is what the admin API is shown; the empty secret when there is none.
func (r *remote) token(base string) (secret.Secret, error) {
	switch {
	case r.Token != "":
		return secret.New(strings.TrimSpace(r.Token)), nil
	case r.TokenFile != "":
		text, err := os.ReadFile(r.TokenFile)
		if err != nil {
			return secret.Secret{}, fmt.Errorf("--token-file: %w", err)
		}
		return secret.New(strings.TrimSpace(string(text))), nil
	}
	return localToken(base)
}

// localToken is what the process at that address has filed for the user that runs it.
func localToken(base string) (secret.Secret, error) {
	where, err := url.Parse(base)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("--admin %s: %w", base, err)
	}
	dir, err := keyfile.TokensDir()
	if err != nil {
		return secret.Secret{}, nil //nolint:nilerr // no home: then nothing is filed there
	}
	return keyfile.FindToken(dir, where.Host)
}

// bearer shows the token with every call.
type bearer struct {
	remote *remote
	base   string
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := b.remote.token(b.base)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(token.Reveal(), func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errors.New("the token holds spaces or characters that no token has")
	}
	if !token.IsZero() {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	return b.next.RoundTrip(r)
}
