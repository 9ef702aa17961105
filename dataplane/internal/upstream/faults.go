package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/guard"
)

func isEnd(err error) bool { return err == io.EOF } //nolint:errorlint // a Reader's end is this very value

// connectFault says why no answer came. Addresses and URLs stay out of it: the text may reach a client.
func connectFault(ctx context.Context, err error) *fault.Fault {
	if ctx.Err() != nil {
		return &fault.Fault{Kind: fault.Canceled, Message: "the attempt was ended from outside", Sent: true}
	}
	return &fault.Fault{Kind: fault.Connect, Message: reason(err), Sent: !neverConnected(err)}
}

func neverConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func reason(err error) string {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, guard.ErrForbidden):
		return guard.ErrForbidden.Error()
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return "its name does not resolve"
		}
		return "looking up its name failed"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		return "its certificate is not trusted"
	case errors.As(err, &alert), errors.As(err, &record):
		return "the TLS handshake failed"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it reset the connection before answering"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return "it closed the connection before answering"
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "connecting took too long"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "it cannot be reached"
	}
	return "its answer was not HTTP"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
