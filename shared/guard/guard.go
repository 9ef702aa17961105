// Package guard is the way out to addresses that operators write down: every connection is judged when it is dialled, and every answer is bounded.
package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/aimux/aimux/shared/provider"
)

// ErrForbidden says that an address may not be dialled.
var ErrForbidden = errors.New("its address is loopback, private or reserved, and allow_private_address is not set")

// ErrPlain says that plain http was asked for where only https is allowed.
var ErrPlain = errors.New("plain http is only for loopback and private addresses, with allow_private_address")

// Control judges the resolved address of a dial, so a name that changes its mind between check and use gains nothing. It is meant for
// [net.Dialer].
func Control(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		addr, err := dialled(address)
		if err != nil {
			return err
		}
		return Judge(addr, allowPrivate)
	}
}

// Judge forbids what nobody on the Internet has: a URL that leads there would turn the process into somebody's hands inside its own
// network. The clouds' metadata services hand keys to whoever asks: they are forbidden even where private addresses are allowed.
func Judge(addr netip.Addr, allowPrivate bool) error {
	if provider.MetadataAddress(addr) || !allowPrivate && !provider.PublicAddress(addr) {
		return ErrForbidden
	}
	return nil
}

// plainControl lets plain http out to addresses that are not the Internet's.
func plainControl(_, address string, _ syscall.RawConn) error {
	addr, err := dialled(address)
	if err != nil {
		return err
	}
	if provider.PublicAddress(addr) {
		return ErrPlain
	}
	return Judge(addr, true)
}

func dialled(address string) (netip.Addr, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the address to dial: %w", err)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the address to dial: %w", err)
	}
	return addr, nil
}

// Config says where a Client may go.
type Config struct {
	// AllowPrivate lets it go to loopback and private addresses, and speak plain http there.
	AllowPrivate bool
	// Timeout of one exchange, its body included; 0 means 5 s.
	Timeout time.Duration
	// Roots are the authorities it trusts; nil means the system's.
	Roots *x509.CertPool
}

// Client exchanges small documents with one address. It follows no redirects, knows no proxy and unpacks nothing. Safe for
// concurrent use.
type Client struct{ http *http.Client }

// The bounds of every exchange.
const (
	timeoutDefault = 5 * time.Second
	headBytesMax   = 64 << 10
	connsMax       = 4
	idleFor        = 30 * time.Second
)

// New makes a Client.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = timeoutDefault
	}
	ways := map[string]http.RoundTripper{"https": transport(cfg, Control(cfg.AllowPrivate))}
	if cfg.AllowPrivate {
		ways["http"] = transport(cfg, plainControl)
	}
	return &Client{&http.Client{
		Transport:     byScheme(ways),
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func transport(cfg Config, control func(string, string, syscall.RawConn) error) *http.Transport {
	dialer := &net.Dialer{Timeout: cfg.Timeout, Control: control}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: cfg.Timeout, MaxResponseHeaderBytes: headBytesMax, DisableCompression: true,
		MaxConnsPerHost: connsMax, IdleConnTimeout: idleFor, TLSClientConfig: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
	}
}

// byScheme sends each scheme its own way, and others none.
type byScheme map[string]http.RoundTripper

// RoundTrip implements http.RoundTripper.
func (b byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if way := b[r.URL.Scheme]; way != nil {
		return way.RoundTrip(r)
	}
	return nil, ErrPlain
}

// Do sends a request and reads at most bytesMax of the answer's body; a longer one is an error. A redirect is an answer like any other. Errors do not
// name the address, which may hold a secret.
func (c *Client) Do(r *http.Request, bytesMax int64) (status int, body []byte, err error) {
	response, err := c.http.Do(r)
	if told := (*url.Error)(nil); errors.As(err, &told) {
		err = told.Err
	}
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, bytesMax+1))
	switch {
	case err != nil:
		return response.StatusCode, nil, fmt.Errorf("reading the answer: %w", err)
	case int64(len(body)) > bytesMax:
		return response.StatusCode, nil, fmt.Errorf("the answer is longer than %d bytes", bytesMax)
	}
	return response.StatusCode, body, nil
}

// Get fetches a document; anything but a 200 is an error.
func (c *Client) Get(ctx context.Context, url string, bytesMax int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	status, body, err := c.Do(r, bytesMax)
	switch {
	case err != nil:
		return body, fmt.Errorf("asking %s: %w", r.URL.Redacted(), err)
	case status != http.StatusOK:
		return body, fmt.Errorf("%s answers with status %d", r.URL.Redacted(), status)
	}
	return body, nil
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }
