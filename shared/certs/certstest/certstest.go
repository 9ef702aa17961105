// Package certstest makes certificates for everybody's tests.
package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aimux/aimux/shared/certs"
)

// Authority signs certificates for loopback.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

const lifetime = time.Hour

// New makes an authority whose certificate is dir/NAME.pem.
func New(t testing.TB, dir, name string) *Authority {
	t.Helper()
	a := authority(t, dir, name)
	a.Believe(t, a)
	return a
}

func authority(t testing.TB, dir, name string) *Authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-lifetime), NotAfter: time.Now().Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(raw)
	must(t, err)
	return &Authority{dir: dir, cert: cert, key: key}
}

// Succeed makes another authority of the same name, whose certificates go where this one's are. The file of this one's own certificate stays
// as it is: see Believe.
func (a *Authority) Succeed(t testing.TB) *Authority {
	t.Helper()
	return authority(t, a.dir, a.cert.Subject.CommonName)
}

// Believe makes the file of the authority's own certificate hold those of all of these instead.
func (a *Authority) Believe(t testing.TB, all ...*Authority) {
	t.Helper()
	var text []byte
	for _, one := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.cert.Raw})...)
	}
	must(t, os.WriteFile(a.CA(), text, 0o600))
}

// CA is the file of the authority's own certificate.
func (a *Authority) CA() string { return filepath.Join(a.dir, a.cert.Subject.CommonName+".pem") }

// Issue makes a certificate that serves for both sides, in dir/NAME.crt and dir/NAME.key; files that are there are replaced.
func (a *Authority) Issue(t testing.TB, name string) certs.Files {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-lifetime), NotAfter: time.Now().Add(lifetime),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	files := certs.Files{Cert: filepath.Join(a.dir, name+".crt"), Key: filepath.Join(a.dir, name+".key"), CA: a.CA()}
	write(t, files.Cert, "CERTIFICATE", raw)
	write(t, files.Key, "PRIVATE KEY", secret)
	return files
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	must(t, err)
	return n
}

func write(t testing.TB, path, kind string, raw []byte) {
	t.Helper()
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
