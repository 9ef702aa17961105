package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/certs/certstest"
)

// door is a place where the fortress speaks TLS: whose certificate it shows, and what it answers to.
type door struct {
	offset       int
	party, hello string
}

const overHTTP = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

var fortressDoors = []door{
	{0, "server", "CONNECT {}\r\nPING\r\n"}, {1, "server", "PING\r\n"}, {11, "cp-1", overHTTP},
	{21, "node-1", overHTTP}, {22, "node-2", overHTTP}, {31, "node-1", overHTTP}, {32, "node-2", overHTTP},
}

// enter makes a new connection through a door and stays until something is answered on it, which may be a refusal that is not TLS's.
func (f *fortress) enter(d door, files certs.Files) (*tls.Conn, error) {
	keeper, err := certs.Open(files, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	plain, err := net.DialTimeout("tcp", f.at(d.offset), 5*time.Second)
	if err != nil {
		return nil, err
	}
	_ = plain.SetDeadline(time.Now().Add(20 * time.Second))
	if d.offset == 0 { // NATS says who it is before TLS begins
		for one := []byte{0}; one[0] != '\n'; {
			if _, err := plain.Read(one); err != nil {
				plain.Close()
				return nil, err
			}
		}
	}
	conn := tls.Client(plain, keeper.Client("127.0.0.1"))
	if _, err = io.WriteString(conn, d.hello); err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// shows waits until every door shows the certificate that its party's file holds now.
func (f *fortress) shows(t *testing.T) {
	t.Helper()
	for _, d := range fortressDoors {
		eventually(t, fmt.Sprintf("%s at %d shows its new certificate", d.party, d.offset), func() error {
			held, err := tls.LoadX509KeyPair(filepath.Join(f.dir, d.party+".crt"), filepath.Join(f.dir, d.party+".key"))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := f.enter(d, f.client)
			if err != nil {
				return err
			}
			defer conn.Close()
			if shown := conn.ConnectionState().PeerCertificates[0]; !shown.Equal(held.Leaf) {
				return fmt.Errorf("it shows number %d", shown.SerialNumber)
			}
			return nil
		})
	}
}

// lets waits until every door lets whoever has these files in, or nobody does.
func (f *fortress) lets(t *testing.T, files certs.Files, in bool) {
	t.Helper()
	for _, d := range fortressDoors {
		eventually(t, fmt.Sprintf("%s at %d lets %s in: %v", d.party, d.offset, filepath.Base(files.Cert), in), func() error {
			conn, err := f.enter(d, files)
			if err == nil {
				conn.Close()
			}
			if (err == nil) != in {
				return fmt.Errorf("it does not: %w", err)
			}
			return nil
		})
	}
}

// trickle asks every node again and again until the test's end, over new connections and over one that stays. It returns how many
// answers there were, and what went wrong first.
func (f *fortress) trickle(t *testing.T, keeper *certs.Keeper) (served *atomic.Int64, wrong *atomic.Pointer[error]) {
	served, wrong = new(atomic.Int64), new(atomic.Pointer[error])
	ctx, stop := context.WithCancel(context.Background())
	var askers sync.WaitGroup
	t.Cleanup(func() { stop(); askers.Wait() })
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&tls.Dialer{Config: keeper.Client("127.0.0.1")}).DialContext(ctx, network, address)
	}
	for _, node := range f.nodes {
		for _, anew := range []bool{true, false} {
			client := &http.Client{Transport: &http.Transport{DialTLSContext: dial, DisableKeepAlives: anew}, Timeout: 20 * time.Second}
			askers.Go(func() {
				defer client.CloseIdleConnections()
				for pause := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-pause.C {
					if err := askOnce(ctx, client, node); err == nil {
						served.Add(1)
					} else if ctx.Err() == nil {
						wrong.CompareAndSwap(nil, &err)
					}
				}
			})
		}
	}
	return served, wrong
}

func askOnce(ctx context.Context, client *http.Client, node string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/v1/messages", strings.NewReader(hello))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", node, answer.StatusCode, text)
	}
	return err
}

// reload has the servers that are not aimux's read their files, as their manuals say, and Redis send everybody away, who then comes back.
func (f *fortress) reload(t *testing.T, redis net.Conn) {
	t.Helper()
	if err := f.nats.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(f.dir, "server")
	for _, command := range []string{
		fmt.Sprintf("CONFIG SET tls-cert-file %s.crt tls-key-file %s.key tls-ca-cert-file %s", server, server, f.client.CA), "CLIENT KILL TYPE normal",
	} {
		_ = redis.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(redis, command+"\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 256)
		if n, err := redis.Read(answer); err != nil || answer[0] == '-' {
			t.Fatalf("%s: %s %v", command, answer[:n], err)
		}
	}
}

// TestCertificatesAreRenewedInService replaces every certificate of a cluster, and then the authority itself, under a trickle of requests.
func TestCertificatesAreRenewedInService(t *testing.T) {
	f := buildFortress(t)
	redis, err := f.enter(fortressDoors[1], f.client)
	if err != nil {
		t.Fatal(err)
	}
	defer redis.Close()
	keeper, err := certs.Open(f.ours.Issue(t, "caller"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range f.nodes {
		eventually(t, node+" serves", func() error {
			code, body, err := askOver(t, f.client, node+"/v1/messages", hello)
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("%d %s", code, body)
			}
			return err
		})
	}
	served, wrong := f.trickle(t, keeper)

	renew := func(authority *certstest.Authority) {
		t.Helper()
		for _, party := range []string{"server", "cp-1", "node-1", "node-2", "operator", "caller"} {
			authority.Issue(t, party)
		}
		f.reload(t, redis)
		f.shows(t)
	}
	before := served.Load()
	well := func(step string) {
		t.Helper()
		eventually(t, step+": a write is in force on every node", func() error {
			out, err := f.command(t, f.firstToken, "team", "set", "red", "--name", step)
			if err != nil || !strings.Contains(out, "in force on all nodes (2)") {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		eventually(t, step+": requests are served", func() error {
			if served.Load() < before+8 {
				return fmt.Errorf("%d so far", served.Load()-before)
			}
			return nil
		})
		before = served.Load()
		if err := wrong.Load(); err != nil {
			t.Errorf("%s: a request was lost: %v", step, *err)
		}
	}
	well("as built")
	renew(f.ours)
	well("new certificates")

	next := f.ours.Succeed(t)
	newcomer, leaver := next.Issue(t, "newcomer"), f.ours.Issue(t, "leaver")
	f.ours.Believe(t, f.ours, next)
	f.reload(t, redis)
	f.lets(t, newcomer, true)
	eventually(t, "the caller believes both", func() error {
		roots, err := keeper.Roots()
		if err == nil {
			pair, failed := tls.LoadX509KeyPair(newcomer.Cert, newcomer.Key)
			if failed != nil {
				t.Fatal(failed)
			}
			_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots})
		}
		return err
	})
	well("two authorities")
	renew(next)
	f.lets(t, leaver, true)
	well("certificates of the new authority")
	f.ours.Believe(t, next)
	f.reload(t, redis)
	f.lets(t, leaver, false)
	f.lets(t, newcomer, true)
	well("the new authority alone")

	if err := f.nats.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = f.nats.Wait() // how it ended does not matter
	f.launch(t, "nats-again", f.nats.Path, f.nats.Args[1:]...)
	well("NATS back, every connection to it new")
}
