package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// dialTimeout bounds one dial, name resolution included.
const dialTimeout = 5 * time.Second

// azurePlatform is where Azure's hosts offer their metadata (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
// It lies in public address space, so that the IANA registries don't list it.
var azurePlatform = netip.MustParseAddr("168.63.129.16")

// Egress says which addresses outgoing connections may reach: every public one, and in the operator's own network (private, loopback,
// link-local and other special addresses) only what the configuration's egress.allow names. It is safe for concurrent use.
//
// Addresses are checked at every dial, after name resolution, so that a name that changes its address can't get around it.
type Egress struct {
	prefixes []netip.Prefix
	hosts    map[string]bool // lower case, without a trailing dot
	guard    *ssrf.Guardian
	dialer   net.Dialer // guarded
}

// EgressError is the error of a connection that [Egress] refused. Find it with [errors.As].
type EgressError struct {
	Address string // the refused IP address; "" where the host was refused by its name
	Host    string // the host as it was asked for; "" where only the address is known
	Why     string // what is wrong with it, as "it is a loopback address"
}

// Error names the address and what permits it.
func (e *EgressError) Error() string {
	target := e.Address
	switch {
	case target == "":
		target = e.Host
	case e.Host != "" && e.Host != e.Address:
		target = fmt.Sprintf("%s (of %s)", e.Address, e.Host)
	}
	return fmt.Sprintf("%s is not reached because %s: name it in egress.allow if it is meant", target, e.Why)
}

// NewEgress permits the public addresses, and those in the operator's own network that allow names: CIDRs ("10.1.0.0/16"), IP addresses,
// and host names, which permit whatever they resolve to. The error names the entry that is none of these.
func NewEgress(allow []string) (*Egress, error) {
	e := &Egress{hosts: make(map[string]bool)}
	var problems []error
	for _, entry := range allow {
		if err := e.permit(strings.TrimSpace(entry)); err != nil {
			problems = append(problems, err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	e.guard = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork())
	e.dialer = net.Dialer{Timeout: dialTimeout, Control: e.Control}
	return e, nil
}

func (e *Egress) permit(entry string) error {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		e.prefixes = append(e.prefixes, prefix.Masked())
		return nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		addr = addr.Unmap().WithZone("")
		e.prefixes = append(e.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	host, err := asciiHost(entry)
	if err != nil || !isHostName(host) || endsInNumber(host) {
		return fmt.Errorf("egress.allow: %q is neither a CIDR (10.1.0.0/16), nor an IP address, nor a host name: "+
			"write it without scheme, port and path", entry)
	}
	e.hosts[host] = true
	return nil
}

// DialContext dials like [net.Dialer.DialContext] where egress permits it. It is what an [http.Transport] of your own needs; leave the
// transport's Proxy nil, or only the proxy's address is checked. A refusal is an [*EgressError].
func (e *Egress) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	name, err := asciiHost(host)
	if err == nil && e.hosts[name] {
		free := net.Dialer{Timeout: dialTimeout}
		return free.DialContext(ctx, network, addr)
	}
	conn, err := e.dial(ctx, network, addr, name)
	if refused := new(EgressError); errors.As(err, &refused) {
		refused.Host = host
	}
	return conn, err
}

// dial dials the host called name, in its one spelling, unless that is a number that some resolvers read as an address (2130706433, 0x7f.1) which isn't
// permitted.
func (e *Egress) dial(ctx context.Context, network, addr, name string) (net.Conn, error) {
	if ip, ok := parseIPv4(name); ok {
		if err := e.check(ip); err != nil {
			return nil, err
		}
	}
	return e.dialer.DialContext(ctx, network, addr)
}

// Control is for [net.Dialer.Control]: it refuses, with an [*EgressError], an address that is about to be dialled but isn't permitted.
// Names in egress.allow mean nothing to it, because it sees addresses only: prefer DialContext.
func (e *Egress) Control(network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return &EgressError{Address: address, Why: fmt.Sprintf("it is dialled over %q, not TCP", network)}
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &EgressError{Address: address, Why: "it is not an IP address and a port"}
	}
	return e.check(ap.Addr())
}

// check refuses an address that is not permitted.
func (e *Egress) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range e.prefixes {
		if p.Contains(addr) {
			return nil
		}
	}
	if addr == azurePlatform {
		return &EgressError{Address: addr.String(), Why: "it is the address of a cloud platform's metadata"}
	}
	if e.guard.SafeAddr(addr) != nil {
		return &EgressError{Address: addr.String(), Why: "it is " + kindOf(addr)}
	}
	return nil
}

// kindOf says in words why an address is special.
func kindOf(addr netip.Addr) string {
	switch {
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsPrivate():
		return "an address of a private network"
	case addr.IsLinkLocalUnicast():
		return "a link-local address"
	case addr.IsMulticast():
		return "a multicast address"
	case addr.IsUnspecified():
		return "the unspecified address, which leads to this machine"
	}
	return "not a public address (IANA lists it as special)"
}
