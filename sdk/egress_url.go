package sdk

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// CheckURL refuses what can't be the URL of a receiver: anything but http and https, user info, no host, and a host that names an address
// which is not permitted, however it is spelt (127.0.0.1, 127.1, 0x7f000001, [::ffff:127.0.0.1], localhost). It asks no name server:
// what a name resolves to is checked when it is dialled.
func (e *Egress) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("URL can't be read: %w", unwrapURL(err)) // without the URL itself, which may hold a secret
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("URL has the scheme %q: it must be http or https", u.Scheme)
	}
	if u.User != nil {
		return fmt.Errorf("URL carries a user name or a password: leave them out, and use a header of the notifier's settings")
	}
	if u.Hostname() == "" {
		return fmt.Errorf("URL has no host: write it as https://host/path")
	}
	if err := checkPort(u); err != nil {
		return err
	}
	return e.checkHost(u.Hostname())
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(u.Host, ":") {
			return fmt.Errorf("URL ends its host with a colon but names no port")
		}
		return nil
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("URL has the port %s: it must be 1 to 65535", port)
	}
	return nil
}

func (e *Egress) checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return e.check(addr)
	}
	name, err := asciiHost(host)
	if err != nil || !isHostName(name) {
		return fmt.Errorf("URL has the host %q, which is not a host name", host)
	}
	if e.hosts[name] {
		return nil
	}
	if endsInNumber(name) {
		addr, ok := parseIPv4(name)
		if !ok {
			return fmt.Errorf("URL has the host %q, which is neither a host name nor an IP address", host)
		}
		return e.check(addr)
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, section 6.3
		return e.checkLocalhost(host)
	}
	return nil
}

// checkLocalhost permits the name where 127.0.0.1, which everybody means by it, is permitted. Should it resolve to ::1, the dial checks that.
func (e *Egress) checkLocalhost(host string) error {
	if e.check(netip.AddrFrom4([4]byte{127, 0, 0, 1})) == nil {
		return nil
	}
	return &EgressError{Host: host, Why: "it is this machine itself"}
}

// asciiHost returns a host's one spelling: lower case, no trailing dot, and international names as the resolver sees them (which turns
// full-width digits into digits).
func asciiHost(host string) (string, error) {
	for i := range len(host) {
		if host[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(host)
			if err != nil {
				return "", err
			}
			host = ascii
			break
		}
	}
	return strings.TrimSuffix(strings.ToLower(host), "."), nil
}

// isHostName accepts dot-separated labels of letters, digits, "-" and "_" (which real networks use), at most 253 characters.
func isHostName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// endsInNumber reports whether resolvers may read the name as an IPv4 address (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, err := strconv.ParseUint(last, 0, 64)
	return err == nil && strings.HasPrefix(last, "0x")
}

// parseIPv4 reads an IPv4 address as inet_aton(3) does: one to four parts, each decimal, octal (0177) or hexadecimal (0x7f), the last one
// filling what is left.
func parseIPv4(name string) (netip.Addr, bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, err := parseNumber(part, bits)
		if err != nil {
			return netip.Addr{}, false
		}
		value = value<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

func parseNumber(s string, bits int) (uint64, error) {
	switch {
	case s == "0x":
		return 0, nil
	case strings.HasPrefix(s, "0x"):
		return strconv.ParseUint(s[2:], 16, bits)
	case len(s) > 1 && s[0] == '0':
		return strconv.ParseUint(s[1:], 8, bits)
	}
	return strconv.ParseUint(s, 10, bits)
}

func unwrapURL(err error) error {
	if u, ok := err.(*url.Error); ok {
		return u.Err
	}
	return err
}
