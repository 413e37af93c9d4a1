package post

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/postrider/postrider/sdk"
)

// failure says what went wrong when there was no answer. All of it is tried again, except an address that the egress rules refuse: until
// the operator allows it, that can't work.
func (s *Sender) failure(ctx context.Context, a *attempt, host string, all time.Duration, err error) sdk.Outcome {
	if refused, ok := errors.AsType[*sdk.EgressError](err); ok {
		return sdk.Rejected(refused.Error())
	}
	switch {
	case err == context.DeadlineExceeded: // itself: that of a dial, or of a header, only says that it is one
		return sdk.Retry(a.stalled(host, all))
	case ctx.Err() != nil:
		return sdk.Retry(fmt.Sprintf("the attempt at %s was called off before an answer came", host))
	}
	if problem, ok := sentence(host, err); ok {
		return sdk.Retry(problem)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return sdk.Retry(a.stalled(host, s.limits.of(a)))
	}
	return sdk.Retry(fmt.Sprintf("no answer from %s: %v", host, err))
}

// sentence tells the causes apart that an operator handles differently.
func sentence(host string, err error) (string, bool) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return fmt.Sprintf("DNS knows no host %s: check the subscriber's recipient_url", dns.Name), true
		}
		return fmt.Sprintf("the address of %s could not be looked up: %v", host, err), true
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("the certificate of %s can't be trusted: %v", host, untrusted.Err), true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Sprintf("%s doesn't speak TLS: its recipient_url should start with http://, perhaps", host), true
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("connection refused: nothing listens at %s", host), true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("%s closed the connection before it answered", host), true
	}
	return "", false
}
