// Package certs keeps the certificates that TLS needs, read from files, and takes new ones when the files change: nothing is restarted, no connection is cut.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Files are PEM files; empty means none.
type Files struct {
	// Cert is this side's chain and Key its private key; one needs the other.
	Cert, Key string
	// CA is whom to believe about the other side: to a server, empty means that clients need no certificate; to a client, the system's
	// authorities.
	CA string
}

// IsZero reports that no file is named.
func (f Files) IsZero() bool { return f == Files{} }

// lookEvery is how often the files are looked at, at most; it happens on a handshake.
const lookEvery = time.Second

// Keeper holds what the files hold. Safe for concurrent use.
type Keeper struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex // protects below
	looked time.Time
	stamp  string // the files' sizes and times as they were last read, well or not
	// trouble is why they could not be used then; empty when they could. They are tried until they can: leave to read one changes no stamp.
	trouble string
	cert    *tls.Certificate
	pool    *x509.CertPool
}

// Open reads the files. The error names the file that cannot be used.
func Open(files Files, log *slog.Logger) (*Keeper, error) {
	if (files.Cert == "") != (files.Key == "") {
		return nil, fmt.Errorf("certificate %q and key %q: one needs the other", files.Cert, files.Key)
	}
	k := &Keeper{files: files, log: log, looked: time.Now(), stamp: stampOf(files)}
	var err error
	if k.cert, k.pool, err = read(files); err != nil {
		return nil, err
	}
	return k, nil
}

func read(files Files) (cert *tls.Certificate, pool *x509.CertPool, err error) {
	if files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %q with key %q: %w", files.Cert, files.Key, err)
		}
		cert = &pair
	}
	if files.CA != "" {
		text, err := os.ReadFile(files.CA)
		if err != nil {
			return nil, nil, fmt.Errorf("authorities: %w", err)
		}
		if pool = x509.NewCertPool(); !pool.AppendCertsFromPEM(text) {
			return nil, nil, fmt.Errorf("authorities %q: there is no certificate in the file", files.CA)
		}
	}
	return cert, pool, nil
}

// stampOf changes when a file does.
func stampOf(files Files) string {
	var all strings.Builder
	for _, name := range []string{files.Cert, files.Key, files.CA} {
		if info, err := os.Stat(name); name != "" && err == nil {
			fmt.Fprintf(&all, "%d %d ", info.Size(), info.ModTime().UnixNano())
		}
		all.WriteString(";")
	}
	return all.String()
}

// current is what the files hold. Files that cannot be used, or that are being changed one after the other, leave what there was.
func (k *Keeper) current() (*tls.Certificate, *x509.CertPool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if now.Sub(k.looked) < lookEvery {
		return k.cert, k.pool
	}
	k.looked = now
	stamp := stampOf(k.files)
	if stamp == k.stamp && k.trouble == "" {
		return k.cert, k.pool
	}
	k.stamp = stamp
	cert, pool, err := read(k.files)
	if err != nil {
		if err.Error() != k.trouble {
			k.log.Error("certificates were changed and cannot be used; the last good ones stay", "error", err)
		}
		k.trouble = err.Error()
		return k.cert, k.pool
	}
	k.cert, k.pool, k.trouble = cert, pool, ""
	k.log.Info("certificates were changed and are in use", "certificate", k.files.Cert, "authorities", k.files.CA)
	return k.cert, k.pool
}

// Listener speaks TLS on a listener, and application protocols such as "http/1.1" on that. With a CA every client needs a certificate.
func (k *Keeper) Listener(plain net.Listener, protocols ...string) net.Listener {
	return tls.NewListener(plain, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			cert, pool := k.current()
			if cert == nil {
				return nil, errors.New("there is no certificate")
			}
			config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, Certificates: []tls.Certificate{*cert}}
			if pool != nil {
				// Without tickets every connection proves anew whose it is.
				config.ClientCAs, config.ClientAuth, config.SessionTicketsDisabled = pool, tls.RequireAndVerifyClientCert, true
			}
			return config, nil
		},
	})
}

// Sever closes a connection, whatever speaks on it, without a farewell: TLS would send one first, and wait up to 5 s for room where the other side
// takes nothing. For whoever holds a lock, and owes the other side nothing.
func Sever(conn net.Conn) {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	_ = conn.Close() // nothing is owed on it
}

// Client is a configuration for one connection to host, by what the files hold now.
func (k *Keeper) Client(host string) *tls.Config {
	cert, pool := k.current()
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: pool}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return config
}

// Certificate is this side's; the zero value when there is none.
func (k *Keeper) Certificate() (tls.Certificate, error) {
	cert, _ := k.current()
	if cert == nil {
		return tls.Certificate{}, nil
	}
	return *cert, nil
}

// Roots are whom to believe; nil means the system's.
func (k *Keeper) Roots() (*x509.CertPool, error) {
	_, pool := k.current()
	return pool, nil
}
