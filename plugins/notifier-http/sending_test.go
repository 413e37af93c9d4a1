package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// settled is a delivery to url by settings, which are written as JSON.
func settled(t *testing.T, url string, settings any) sdk.Delivery {
	t.Helper()
	d := delivery(url)
	var err error
	if d.Settings, err = json.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	return d
}

type object = map[string]any

func TestHeadersAreSentAndASubscribersWin(t *testing.T) {
	got := make(chan http.Header, 1)
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	p := launch(t, `{"headers":{"x-shop":"main","X-Key":"configured"},"auth":{"bearer":{"token":"configured-token"}}}`)
	for _, test := range []struct {
		name     string
		settings any
		want     map[string]string
	}{
		{"as configured", object{}, map[string]string{"X-Shop": "main", "X-Key": "configured", "Authorization": "Bearer configured-token"}},
		{"by the subscriber", object{"headers": object{"x-KEY": "own", "X-More": "a b"}},
			map[string]string{"X-Shop": "main", "X-Key": "own", "X-More": "a b", "Authorization": "Bearer configured-token"}},
		{"another token", object{"auth": object{"bearer": object{"token": "own"}}}, map[string]string{"Authorization": "Bearer own"}},
		{"a user", object{"auth": object{"basic": object{"user": "anna", "password": "pa:ss"}}},
			map[string]string{"Authorization": "Basic YW5uYTpwYTpzcw=="}},
		{"an Authorization of another kind", object{"headers": object{"authorization": "ApiKey 1"}}, map[string]string{"Authorization": "ApiKey 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if outcome := notify(t, p, settled(t, url, test.settings)); outcome.Status != sdk.StatusDelivered {
				t.Fatalf("got %+v", outcome)
			}
			header := <-got
			for name, want := range test.want {
				if values := header.Values(name); len(values) != 1 || values[0] != want {
					t.Errorf("%s: got %q, want %q", name, values, want)
				}
			}
			if header.Get("webhook-id") == "" || header.Get("content-type") != "application/json" {
				t.Errorf("a field of the delivery is missing: %v", header)
			}
		})
	}
}

func TestHeadersThatARequestNeedsForItselfAreRefusedWithTheirSubscriber(t *testing.T) {
	schema, err := host.ParseSchema(launch(t, `{}`).Description().SettingsSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Key", "authorization", "Accept", "Hosts", "X-Webhook-Id", "te-x"} {
		if err := schema.Check(fmt.Appendf(nil, `{"headers":{%q:"v"}}`, name), "setting"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"Host", "hOST", "content-length", "Transfer-Encoding", "connection", "TE", "webhook-id", "Webhook-Anything", "a b", "a:", "", "a\r\nb"} {
		document, _ := json.Marshal(object{"headers": object{name: "value"}})
		if err := schema.Check(document, "setting"); err == nil || !strings.Contains(err.Error(), "headers") {
			t.Errorf("%q: got %v", name, err)
		}
		_, err := launch(t, `{}`).Notify(t.Context(), settled(t, "http://127.0.0.1:1", object{"headers": object{name: "value"}}))
		if failure, ok := errors.AsType[*host.PluginError](err); !ok || !failure.Permanent {
			t.Errorf("%q: got %v, want a permanent error", name, err)
		}
	}
	for _, value := range []string{"a\r\nX-Evil: 1", "a\n", "a\x00", "a\x7f"} {
		document, _ := json.Marshal(object{"headers": object{"X-Key": value}})
		if err := schema.Check(document, "setting"); err == nil || !strings.Contains(err.Error(), `"headers.X-Key"`) || strings.Contains(err.Error(), "Evil") {
			t.Errorf("%q: got %v", value, err)
		}
	}
}

func TestWhatAReceiverEchoesHoldsNoSecret(t *testing.T) {
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.example/"+r.Header.Get("X-Key"))
		w.WriteHeader(http.StatusFound)
		raw, _ := json.Marshal(r.Header)
		fmt.Fprintf(w, "%s %s\n", raw, r.Header.Get("X-Key"))
		fmt.Fprint(w, strings.Repeat("x", 1<<10-10-len(raw)-len(r.Header.Get("X-Key"))-2)+r.Header.Get("X-Key")) // cut within the key
	})
	p := launch(t, `{}`)
	for name, settings := range map[string]any{
		"bearer": object{"headers": object{"X-Key": `top"secret-value`}, "auth": object{"bearer": object{"token": "hidden-token"}}},
		"basic":  object{"headers": object{"X-Key": `top"secret-value`}, "auth": object{"basic": object{"user": "u", "password": "hidden-token"}}},
	} {
		got := notify(t, p, settled(t, url, settings))
		said := got.Reason + got.Excerpt
		for _, secret := range []string{"hidden-token", `top"secr`, `top\"secr`, "top%22secr", "dTpoaWRkZW4tdG9rZW4="} {
			if strings.Contains(said, secret) {
				t.Errorf("%s: %q is shown: %s", name, secret, said)
			}
		}
		if !strings.Contains(got.Reason, "https://elsewhere.example/[secret],") {
			t.Errorf("%s: the reason is %s", name, got.Reason)
		}
		if got.Code != 302 || strings.Count(said, "[secret]") < 4 || !strings.HasSuffix(got.Excerpt, "[secret]") {
			t.Errorf("%s: got %d, %s", name, got.Code, said)
		}
	}
}

func TestSecretsOfSettingsAreMarkedSoThatTheyAreNotShown(t *testing.T) {
	schema, err := host.ParseSchema(launch(t, `{}`).Description().SettingsSchema)
	if err != nil {
		t.Fatal(err)
	}
	const settings = `{"auth":{"basic":{"password":"S","user":"u"},"bearer":{"token":"S"},"oauth2":{"client_id":"c","client_secret":"S","tls":{"key":"S"},"token_url":"https://a"}},` +
		`"headers":{"X-Key":"S"},"tls":{"ca":"c","key":"S"}}`
	if got, want := string(schema.Hide(json.RawMessage(settings), "#")), strings.ReplaceAll(settings, `"S"`, `"#"`); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// tokenEndpoint hands out token-1, token-2, … and counts them.
func tokenEndpoint(t *testing.T, asked *atomic.Int32) (url string) {
	return receiver(t, func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "client" || secret != "hidden-secret" || r.FormValue("scope") != "hooks more" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, asked.Add(1))
	})
}

func oauth(url, secret string) object {
	return object{"auth": object{"oauth2": object{"token_url": url, "client_id": "client", "client_secret": secret, "scopes": []string{"hooks", "more"}}}}
}

func TestATokenIsKeptAndRenewedOnceWhenItIsRefused(t *testing.T) {
	var asked, refused atomic.Int32
	var accepted atomic.Value
	accepted.Store("Bearer token-1")
	url := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != accepted.Load() {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, r.Header.Get("Authorization"))
		}
	})
	p, settings := launch(t, `{}`), oauth(tokenEndpoint(t, &asked), "hidden-secret")
	for range 5 {
		if got := notify(t, p, settled(t, url, settings)); got.Status != sdk.StatusDelivered {
			t.Fatalf("got %+v", got)
		}
	}
	if asked.Load() != 1 || refused.Load() != 0 {
		t.Errorf("5 attempts asked for %d tokens, and were refused %d times", asked.Load(), refused.Load())
	}
	accepted.Store("Bearer token-2") // the first one was revoked
	if got := notify(t, p, settled(t, url, settings)); got.Status != sdk.StatusDelivered || asked.Load() != 2 || refused.Load() != 1 {
		t.Errorf("revoked: got %+v after %d tokens and %d refusals", got, asked.Load(), refused.Load())
	}
	accepted.Store("none")
	got := notify(t, p, settled(t, url, settings))
	if got.Status != sdk.StatusRetry || got.Code != 401 || asked.Load() != 3 || refused.Load() != 3 {
		t.Errorf("never accepted: got %+v after %d tokens and %d refusals", got, asked.Load(), refused.Load())
	}
	if got.Excerpt != "Bearer [secret]" {
		t.Errorf("the excerpt shows %q", got.Excerpt)
	}
}

func TestWithoutATokenNothingIsSentAndTheReasonSaysWhy(t *testing.T) {
	var reached, asked atomic.Int32
	url := receiver(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	release := make(chan struct{})
	silent := receiver(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	echo := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, secret)
	})
	p := launch(t, `{"timeout":"1s"}`)
	for _, test := range []struct {
		name, token, secret, want string
		status                    sdk.Status
	}{
		{"a wrong secret", tokenEndpoint(t, &asked), "hidden-wrong", "answered 401 Unauthorized (invalid_client)", sdk.StatusRetry},
		{"an endpoint that sends the secret back", echo, "hidden_secret", "answered 400 Bad Request ([secret])", sdk.StatusRetry},
		{"an endpoint that never answers", silent, "hidden-secret", "no token", sdk.StatusRetry},
		{"an endpoint that DNS doesn't know", "http://no-such-host.invalid/", "hidden-secret", "no token", sdk.StatusRetry},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := notify(t, p, settled(t, url, oauth(test.token, test.secret)))
			if got.Status != test.status || !strings.Contains(got.Reason, test.want) || !strings.Contains(got.Reason, "nothing was sent") || strings.Contains(got.Reason, "hidden") {
				t.Errorf("got %+v", got)
			}
		})
	}
	if reached.Load() != 0 {
		t.Errorf("%d requests were sent", reached.Load())
	}
}

// pair is a certificate and its key, in PEM.
type pair struct{ certificate, key string }

// authority issues certificates for clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

func (a authority) issue(t *testing.T, name string) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", raw)}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// secure starts a receiver with TLS, and returns its certificate, which is its own authority, and the count of its connections.
func secure(t *testing.T, config *tls.Config, http2 bool, h http.HandlerFunc) (server *httptest.Server, ca string, opened *atomic.Int32) {
	t.Helper()
	opened = new(atomic.Int32)
	server = httptest.NewUnstartedServer(h)
	server.TLS = config
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it will complain of who isn't trusted, as it should
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pemOf("CERTIFICATE", server.Certificate().Raw), opened
}

func TestASubscriberTrustsItsOwnAuthorityAndKeepsItsConnection(t *testing.T) {
	server, ca, opened := secure(t, nil, false, func(http.ResponseWriter, *http.Request) {})
	p := launch(t, `{}`)
	for name, tls := range map[string]object{
		"its authority": {"ca": ca}, "and a name that the certificate has": {"ca": ca, "server_name": "example.com"},
	} {
		opened.Store(0)
		for range 10 {
			if got := notify(t, p, settled(t, server.URL, object{"tls": tls})); got.Status != sdk.StatusDelivered {
				t.Fatalf("%s: got %+v", name, got)
			}
		}
		if opened.Load() != 1 {
			t.Errorf("%s: 10 deliveries opened %d connections, want 1", name, opened.Load())
		}
	}
	other := newAuthority(t)
	for name, tls := range map[string]object{
		"nothing": {}, "another authority": {"ca": pemOf("CERTIFICATE", other.certificate.Raw)}, "another name": {"ca": ca, "server_name": "example.net"},
	} {
		if got := notify(t, p, settled(t, server.URL, object{"tls": tls})); got.Status != sdk.StatusRetry || !strings.Contains(got.Reason, "can't be trusted") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestAReceiverSeesTheCertificateOfTheSubscriberAlone(t *testing.T) {
	clients := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(clients.certificate)
	server, ca, _ := secure(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, false,
		func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		})
	p := launch(t, `{}`)
	anna, bert := clients.issue(t, "anna"), clients.issue(t, "bert")
	for range 2 { // connections are kept, and none must serve another subscriber
		for name, own := range map[string]pair{"anna": anna, "bert": bert} {
			got := notify(t, p, settled(t, server.URL, object{"tls": object{"ca": ca, "certificate": own.certificate, "key": own.key}}))
			if got.Status != sdk.StatusDelivered || got.Excerpt != name {
				t.Errorf("%s: got %+v", name, got)
			}
		}
		if got := notify(t, p, settled(t, server.URL, object{"tls": object{"ca": ca}})); got.Status != sdk.StatusRetry {
			t.Errorf("without a certificate: got %+v", got)
		}
	}
	for want, tls := range map[string]object{
		"tls.key: it is missing":                  {"certificate": anna.certificate},
		"tls.certificate: it is missing":          {"key": anna.key},
		"tls.certificate, key: they can't be use": {"certificate": anna.certificate, "key": bert.key},
	} {
		_, err := p.Notify(t.Context(), settled(t, server.URL, object{"tls": tls}))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestHTTP2IsSpokenWhereTheConfigurationSaysSo(t *testing.T) {
	for configuration, want := range map[string]string{`{}`: "HTTP/1.1", `{"http2":true}`: "HTTP/2.0"} {
		server, ca, opened := secure(t, nil, true, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, r.Proto)
		})
		p := launch(t, configuration)
		for range 20 {
			got := notify(t, p, settled(t, server.URL, object{"tls": object{"ca": ca}}))
			if got.Status != sdk.StatusDelivered || got.Excerpt != want {
				t.Fatalf("%s: got %+v, want %s", configuration, got, want)
			}
		}
		if opened.Load() != 1 {
			t.Errorf("%s: 20 deliveries opened %d connections, want 1", configuration, opened.Load())
		}
	}
}

// strand passes connections on to address, until it is cut: then those that are open take what is sent and pass nothing on, while new ones work.
type strand struct {
	url    string
	opened atomic.Int32
	cut    atomic.Pointer[chan struct{}] // closed: connections from before it are dead
}

func newStrand(t *testing.T, address string) *strand {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &strand{url: "https://" + l.Addr().String()}
	s.renew()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.opened.Add(1)
			go s.join(conn, address, *s.cut.Load())
		}
	}()
	return s
}

func (s *strand) renew() (before chan struct{}) {
	if old := s.cut.Load(); old != nil {
		before = *old
	}
	alive := make(chan struct{})
	s.cut.Store(&alive)
	return before
}

func (s *strand) join(conn net.Conn, address string, dead chan struct{}) {
	defer conn.Close()
	far, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			select {
			case <-dead: // swallowed
			default:
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
	}
	go pass(conn, far)
	pass(far, conn)
}

func TestAnHTTP2ConnectionThatHangsHoldsUpOnlyWhatItMet(t *testing.T) {
	server, ca, _ := secure(t, nil, true, func(http.ResponseWriter, *http.Request) {})
	s := newStrand(t, server.Listener.Addr().String())
	p := launch(t, `{"http2":true,"timeout":"3s"}`)
	d := settled(t, s.url, object{"tls": object{"ca": ca}})
	if got := notify(t, p, d); got.Status != sdk.StatusDelivered {
		t.Fatalf("got %+v", got)
	}
	close(s.renew())
	if got := notify(t, p, d); got.Status != sdk.StatusRetry {
		t.Fatalf("on the connection that hangs: got %+v", got)
	}
	if got := notify(t, p, d); got.Status != sdk.StatusDelivered || s.opened.Load() != 2 {
		t.Errorf("after it: got %+v over %d connections", got, s.opened.Load())
	}
}
