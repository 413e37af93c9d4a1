package sdk_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/sdk"
)

func egress(t testing.TB, allow ...string) *sdk.Egress {
	t.Helper()
	e, err := sdk.NewEgress(allow)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEgressNamesTheEntryThatIsBad(t *testing.T) {
	for _, entry := range []string{"", "http://internal/", "internal:8080", "10.0.0.0/33", "10.1", "a b", "-/-", "300.1.1.1", "*.internal"} {
		if _, err := sdk.NewEgress([]string{"10.0.0.0/8", entry, "internal"}); err == nil || !strings.Contains(err.Error(), `"`+entry+`"`) {
			t.Errorf("%q: got %v, want an error that names it", entry, err)
		}
	}
	_, err := sdk.NewEgress([]string{"a:1", "b:2"})
	if err == nil || !strings.Contains(err.Error(), `"a:1"`) || !strings.Contains(err.Error(), `"b:2"`) {
		t.Errorf("two bad ones: got %v, want both named", err)
	}
}

func TestEgressChecksEveryDialledAddress(t *testing.T) {
	open := egress(t, "10.1.0.0/16", "192.168.7.7", "[fd00::7]", "::ffff:172.16.0.0/112")
	for address, permitted := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"127.0.0.1:80": false, "[::1]:80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "172.31.0.1:80": false,
		"192.168.0.1:80": false, "169.254.169.254:80": false, "[fe80::1%eth0]:80": false, "[fc00::1]:80": false, "100.64.0.1:80": false,
		"[::ffff:127.0.0.1]:80": false, "[::ffff:10.0.0.1]:80": false, "[64:ff9b::7f00:1]:80": false, "[2002:7f00:1::]:80": false,
		"168.63.129.16:80": false, "224.0.0.1:80": false, "255.255.255.255:80": false, "nonsense": false,
		"10.1.2.3:80": true, "[::ffff:10.1.2.3]:80": true, "192.168.7.7:1": true, "192.168.7.8:1": false, "[fd00::7]:1": true, "172.16.3.3:1": true,
	} {
		err := open.Control("tcp", address, nil)
		if (err == nil) != permitted {
			t.Errorf("%s: got %v, permitted should be %t", address, err, permitted)
		}
		if refusal := new(sdk.EgressError); err != nil && (!errors.As(err, &refusal) || !strings.Contains(err.Error(), "egress.allow")) {
			t.Errorf("%s: got %v, want an *EgressError that says what to do", address, err)
		}
	}
	if err := open.Control("udp4", "93.184.216.34:53", nil); err == nil {
		t.Error("UDP is permitted")
	}
}

func TestEgressLooksAtWhatANameResolvesTo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := net.JoinHostPort("localhost", l.Addr().(*net.TCPAddr).AddrPort().String()[len("127.0.0.1:"):])
	_, err = egress(t).DialContext(t.Context(), "tcp", address)
	if refusal := new(sdk.EgressError); !errors.As(err, &refusal) || refusal.Host != "localhost" || !strings.Contains(err.Error(), "(of localhost)") {
		t.Errorf("got %v", err)
	}
	for _, allow := range []string{"localhost", "LOCALHOST.", "127.0.0.1"} {
		conn, err := egress(t, allow).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Errorf("allowed by %s: got %v", allow, err)
			continue
		}
		conn.Close()
	}
}

func TestEgressReadsANumberAsTheAddressThatItMayMean(t *testing.T) {
	for _, host := range []string{"2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1."} {
		_, err := egress(t).DialContext(t.Context(), "tcp", net.JoinHostPort(host, "80"))
		if refusal := new(sdk.EgressError); !errors.As(err, &refusal) || refusal.Address != "127.0.0.1" || refusal.Host != host {
			t.Errorf("%s: got %v", host, err)
		}
	}
}

func TestCheckURLRefusesWhatIsNoReceiver(t *testing.T) {
	e := egress(t)
	for url, want := range map[string]string{
		"https://example.com/hook?x=1":    "",
		"http://example.com:8080":         "",
		"https://93.184.216.34/":          "",
		"https://[2606:2800:220:1::1]/":   "",
		"https://sub_domain.example.com.": "",
		"https://bücher.example/":         "",
		"ftp://example.com":               "must be http or https",
		"example.com/hook":                "must be http or https",
		"javascript:alert(1)":             "must be http or https",
		"":                                "must be http or https",
		"https://":                        "no host",
		"https:///path":                   "no host",
		"https://user:secret@example.com": "user name or a password",
		"https://user@example.com":        "user name or a password",
		"https://example.com:0/":          "must be 1 to 65535",
		"https://example.com:70000/":      "must be 1 to 65535",
		"https://example.com:/":           "names no port",
		"https://exa mple.com/":           "can't be read",
		"https://example.com/\x00":        "can't be read",
		"https://a..b/":                   "not a host name",
		"https://ex%20ample.com/":         "can't be read",
		"https://1.2.3.4.5/":              "neither a host name nor an IP address",
		"https://example.0x/":             "",
		"http://localhost/":               "this machine itself",
		"http://LocalHost.:80/":           "this machine itself",
		"http://a.localhost/":             "this machine itself",
		"http://127.0.0.1/":               "loopback",
		"http://127.1/":                   "loopback",
		"http://127.0.1/":                 "loopback",
		"http://2130706433/":              "loopback",
		"http://0x7f000001/":              "loopback",
		"http://0x7f.1/":                  "loopback",
		"http://0177.0.0.01/":             "loopback",
		"http://127.0.0.1./":              "loopback",
		"http://１２７.0.0.1/":               "loopback",
		"http://[::1]/":                   "loopback",
		"http://[::ffff:7f00:1]/":         "loopback",
		"http://0/":                       "unspecified",
		"http://10.0.0.1/":                "private",
		"http://0xa.1/":                   "private",
		"http://169.254.169.254/latest":   "link-local",
		"http://[fe80::1%25eth0]/":        "link-local",
		"http://168.63.129.16/":           "cloud platform",
	} {
		err := e.CheckURL(url)
		if want == "" && err != nil {
			t.Errorf("%s: got %v, want it accepted", url, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error repeats the password: %v", url, err)
		}
	}
}

func TestCheckURLPermitsWhatEgressAllows(t *testing.T) {
	e := egress(t, "127.0.0.0/8", "receiver.internal", "10.2.3.4")
	for _, url := range []string{"http://127.0.0.1:9000/", "http://localhost/", "http://0x7f.1/", "http://Receiver.Internal./", "http://10.2.3.4/"} {
		if err := e.CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := e.CheckURL("http://10.2.3.5/"); err == nil {
		t.Error("a neighbour is permitted too")
	}
	if err := egress(t, "localhost").CheckURL("http://localhost:1/"); err != nil {
		t.Errorf("localhost, allowed by name: %v", err)
	}
}

// FuzzCheckURL looks for a URL that passes although its host is, by any of the usual readings, a loopback address.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"http://127.0.0.1/", "http://0x7f.1", "https://example.com/", "http://[::ffff:127.0.0.1]/", "http://①②⑦.0.0.1"} {
		f.Add(seed)
	}
	e := egress(f)
	f.Fuzz(func(t *testing.T, raw string) {
		if e.CheckURL(raw) != nil {
			return
		}
		request, err := http.NewRequest(http.MethodPost, raw, nil)
		if err != nil {
			t.Fatalf("%q is accepted, but net/http refuses it: %v", raw, err)
		}
		if addr, err := netip.ParseAddr(request.URL.Hostname()); err == nil && e.Control("tcp", netip.AddrPortFrom(addr, 80).String(), nil) != nil {
			t.Errorf("%q is accepted, but its address is refused when dialled", raw)
		}
	})
}

func TestTheHTTPClientIsGuardedAndFollowsNoRedirect(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("got-traceparent", r.Header.Get("traceparent"))
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer receiver.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1/")
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	inCall(t, []string{"127.0.0.1"}, sdk.WithTraceparent(t.Context(), traceparent), func(ctx context.Context) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, receiver.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := sdk.HTTPClient(ctx).Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		if response.StatusCode != http.StatusFound || response.Header.Get("got-traceparent") != traceparent {
			t.Errorf("got %d, traceparent %q", response.StatusCode, response.Header.Get("got-traceparent"))
		}
		sdk.HTTPClient(ctx).CloseIdleConnections()
	})
	inCall(t, []string{"10.0.0.1"}, t.Context(), func(ctx context.Context) {
		_, err := sdk.HTTPClient(ctx).Get(receiver.URL)
		if refusal := new(sdk.EgressError); !errors.As(err, &refusal) {
			t.Errorf("got %v, want an *EgressError", err)
		}
		if err := sdk.EgressOf(ctx).CheckURL("http://10.0.0.1/"); err != nil {
			t.Errorf("EgressOf lacks what is allowed: %v", err)
		}
	})
	if _, err := sdk.HTTPClient(t.Context()).Get(receiver.URL); err == nil || !strings.Contains(err.Error(), "pass that one on") {
		t.Errorf("outside of a call: got %v", err)
	}
}
