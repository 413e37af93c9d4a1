package plugins_test

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a DNS server of a test. It knows the names that the test gives it, and no others.
type nameServer struct {
	address string

	mu    sync.Mutex
	names map[string]*answers
}

// answers are what a name resolves to: the first time, the second time and so on; the last is repeated. Each answer is a list of addresses.
type answers struct {
	lists [][]netip.Addr
	asked map[dnsmessage.Type]int
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{address: conn.LocalAddr().String(), names: make(map[string]*answers)}
	var served sync.WaitGroup
	served.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := s.answer(buffer[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		served.Wait()
	})
	return s
}

// set has a name resolve to lists of addresses, separated by spaces.
func (s *nameServer) set(name string, lists ...string) {
	a := &answers{asked: make(map[dnsmessage.Type]int)}
	for _, list := range lists {
		var addresses []netip.Addr
		for _, text := range strings.Fields(list) {
			addresses = append(addresses, netip.MustParseAddr(text))
		}
		a.lists = append(a.lists, addresses)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = a
}

// next returns what a name resolves to now.
func (s *nameServer) next(name string, kind dnsmessage.Type) []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.names[strings.TrimSuffix(name, ".")]
	if a == nil {
		return nil
	}
	list := a.lists[min(a.asked[kind], len(a.lists)-1)]
	a.asked[kind]++
	return list
}

func (s *nameServer) answer(query []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true},
		Questions: m.Questions,
	}
	addresses := s.next(strings.ToLower(q.Name.String()), q.Type)
	if addresses == nil {
		answer.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET} // with a TTL of 0
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, err := answer.Pack()
	if err != nil {
		return nil
	}
	return packed
}
