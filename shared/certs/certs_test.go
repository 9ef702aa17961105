package certs_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/certs/certstest"
)

func open(t *testing.T, files certs.Files) *certs.Keeper {
	t.Helper()
	k, err := certs.Open(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// echo answers on a loopback port with TLS until the test ends.
func echo(t *testing.T, server *certs.Keeper) string {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close() })
	listener := server.Listener(plain)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return plain.Addr().String()
}

// greet says hello over a connection and returns who answered, or why nobody did.
func greet(conn *tls.Conn) (string, error) {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("hi")); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func dial(t *testing.T, address string, client *certs.Keeper) (*tls.Conn, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, client.Client("127.0.0.1"))
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func TestBothSidesProveWhoTheyAre(t *testing.T) {
	ours, theirs := certstest.New(t, t.TempDir(), "ours"), certstest.New(t, t.TempDir(), "theirs")
	address := echo(t, open(t, ours.Issue(t, "server")))
	bare := certs.Files{CA: ours.CA()}
	foreign := theirs.Issue(t, "client")
	foreign.CA = ours.CA()
	for name, row := range map[string]struct {
		files certs.Files
		well  bool
	}{
		"one of ours":                   {ours.Issue(t, "client"), true},
		"nobody":                        {bare, false},
		"one of theirs":                 {foreign, false},
		"one who does not believe ours": {theirs.Issue(t, "other"), false},
	} {
		conn, err := dial(t, address, open(t, row.files))
		if err == nil {
			_, err = greet(conn)
		}
		if (err == nil) != row.well {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilesThatChangeAreTaken replaces the server's certificate, its key and both sides' authority while a connection is open.
func TestFilesThatChangeAreTaken(t *testing.T) {
	dir := t.TempDir()
	authority := certstest.New(t, dir, "ours")
	files := authority.Issue(t, "server")
	server, client := open(t, files), open(t, authority.Issue(t, "client"))
	address := echo(t, server)
	before, err := dial(t, address, client)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := greet(before); err != nil || who != "server" {
		t.Fatalf("%s, %v", who, err)
	}

	if err := os.WriteFile(files.Cert, []byte("half a fil"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // files are looked at once a second
	if conn, err := dial(t, address, client); err != nil {
		t.Errorf("with a broken file: %v", err)
	} else if who, err := greet(conn); err != nil || who != "server" {
		t.Errorf("with a broken file: %s, %v", who, err)
	}

	next := certstest.New(t, dir, "ours")
	renamed := next.Issue(t, "renewed")
	for from, to := range map[string]string{renamed.Cert: files.Cert, renamed.Key: files.Key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	next.Issue(t, "client")
	time.Sleep(1100 * time.Millisecond)
	conn, err := dial(t, address, client)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := greet(conn); err != nil || who != "renewed" {
		t.Errorf("%s, %v; want the renewed certificate", who, err)
	}
	if _, err := greet(before); err != nil {
		t.Errorf("the connection from before was cut: %v", err)
	}
}

// TestFilesThatBecomeUsableAreTaken has a key become usable without a sign of it in its size and time, as when leave to read it comes late.
func TestFilesThatBecomeUsableAreTaken(t *testing.T) {
	authority := certstest.New(t, t.TempDir(), "ours")
	files := authority.Issue(t, "server")
	server, client := open(t, files), open(t, authority.Issue(t, "client"))
	address := echo(t, server)
	next := authority.Issue(t, "renewed")
	cert, key := contents(t, next.Cert), contents(t, next.Key)
	at := time.Now().Add(-time.Minute)
	put := func(key []byte) {
		t.Helper()
		for name, text := range map[string][]byte{files.Cert: cert, files.Key: key} {
			if err := errors.Join(os.WriteFile(name, text, 0o600), os.Chtimes(name, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(1100 * time.Millisecond) // files are looked at once a second
	}
	for _, step := range []struct {
		key []byte
		who string
	}{{make([]byte, len(key)), "server"}, {key, "renewed"}} {
		put(step.key)
		conn, err := dial(t, address, client)
		if err != nil {
			t.Fatal(err)
		}
		if who, err := greet(conn); err != nil || who != step.who {
			t.Errorf("%s, %v; want %s", who, err, step.who)
		}
	}
}

func contents(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	authority := certstest.New(t, t.TempDir(), "ours")
	good := authority.Issue(t, "server")
	other := authority.Issue(t, "other")
	empty := t.TempDir() + "/empty.pem"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		files certs.Files
		want  string
	}{
		"a certificate without a key": {certs.Files{Cert: good.Cert}, good.Cert},
		"a key without a certificate": {certs.Files{Key: good.Key}, good.Key},
		"another one's key":           {certs.Files{Cert: good.Cert, Key: other.Key}, other.Key},
		"no such file":                {certs.Files{CA: "/no/such.pem"}, "/no/such.pem"},
		"no certificate in it":        {certs.Files{CA: empty}, empty},
	} {
		if _, err := certs.Open(row.files, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q named", name, err, row.want)
		}
	}
}
