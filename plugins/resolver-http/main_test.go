package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// shop is a Web API.
func shop(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// oneService is a configuration of the service Shop::get, from its part of the configuration, of an API at url with further keys.
func oneService(url, api, service string) string {
	return fmt.Sprintf(`{"apis":{"shop":{"url":%q%s}},"services":[{"class":"Shop","method":"get",%s}]}`, url, api, service)
}

func TestThePluginPassesTheChecksOfEveryResolver(t *testing.T) {
	url := shop(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"path":%q}`, r.URL.Path) })
	sdktest.CheckResolver(t, sdktest.ResolverCheck{
		Start:         start,
		Configuration: oneService(url, "", `"request":{"path":"orders/{id}"},"arguments":{"id":"integer"}`),
		Calls:         []sdktest.Call{{Class: "Shop", Method: "get", Arguments: `{"id":1}`}},
	})
}

func TestWithoutAConfigurationThereIsNothingToOffer(t *testing.T) {
	if got := launch(t, "").Description().Services; len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// call resolves Shop::get.
func call(t *testing.T, p *sdktest.Plugin, arguments string) (string, error) {
	t.Helper()
	return p.Resolve(t.Context(), "Shop", "get", arguments)
}

func TestARequestIsMadeOfTheArguments(t *testing.T) {
	type seen struct{ line, header, body string }
	got := make(chan seen, 1)
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method + " " + r.RequestURI, r.Header.Get("X-Shop"), string(body)}
		fmt.Fprint(w, `{"items":[{"sku":"a", "price":1.50}],"n":12345678901234567890}`)
	})
	for name, test := range map[string]struct {
		service, arguments string
		line, header, body string
		payload            string
	}{
		"a path": {
			service: `"request":{"path":"/orders/{id}/items/{sku}-x"}`, arguments: `{"id":12345678901234567890,"sku":"ä b?c#d&e;f%zz:@"}`,
			line: "GET /rest/V1/orders/12345678901234567890/items/%C3%A4%20b%3Fc%23d&e%3Bf%25zz:@-x",
		},
		"braces": {service: `"request":{"path":"a{{b}}c"}`, arguments: `{}`, line: "GET /rest/V1/a%7Bb%7Dc"},
		"a query": {
			service:   `"request":{"path":"orders","query":{"f[0][v]":"{a}","n":1,"t":true,"of":"{a}/{b}","all":"{list}","gone":"{c}"}},"arguments":{"a":"string","b":"number","list":"array","c":"string"},"optional":["c"]`,
			arguments: `{"a":"x&y=z\r\n#","b":1.50,"list":["p q",2]}`,
			line:      "GET /rest/V1/orders?all=p+q&all=2&f%5B0%5D%5Bv%5D=x%26y%3Dz%0D%0A%23&n=1&of=x%26y%3Dz%0D%0A%23%2F1.50&t=true",
		},
		"an optional argument that is there": {
			service:   `"request":{"path":"orders","query":{"store":"{store}"}},"arguments":{"store":"integer"},"optional":["store"]`,
			arguments: `{"store":2}`, line: "GET /rest/V1/orders?store=2",
		},
		"a header": {service: `"request":{"path":"orders","headers":{"X-Shop":"no {id}"}}`, arguments: `{"id":"A 1"}`, line: "GET /rest/V1/orders", header: "no A 1"},
		"a body": {
			service:   `"request":{"path":"graphql","body":{"query":"{{ order }}","variables":{"id":"{id}","text":"<{name}>","all":["{list}","{gone}"],"gone":"{gone}"}}},"arguments":{"id":"integer","name":"string","list":"array","gone":"string"},"optional":["gone"]`,
			arguments: `{"id":9007199254740993,"name":"\"},\"x\":{\"","list":[{"a":1}]}`,
			line:      "POST /rest/V1/graphql",
			body:      `{"query":"{ order }","variables":{"all":[[{"a":1}]],"id":9007199254740993,"text":"<\"},\"x\":{\">"}}`,
		},
		"a PUT":                        {service: `"request":{"method":"PUT","path":"search","body":"{q}"}`, arguments: `{"q":"x"}`, line: "PUT /rest/V1/search", body: `"x"`},
		"a result":                     {service: `"request":{"path":"search"},"result":"$.items[0]"`, arguments: `{}`, line: "GET /rest/V1/search", payload: `{"sku":"a", "price":1.50}`},
		"a result from the end":        {service: `"request":{"path":"search"},"result":"$['items'][-1].price"`, arguments: `{}`, line: "GET /rest/V1/search", payload: `1.50`},
		"a result that is a large one": {service: `"request":{"path":"search"},"result":"$.n"`, arguments: `{}`, line: "GET /rest/V1/search", payload: `12345678901234567890`},
	} {
		t.Run(name, func(t *testing.T) {
			payload, err := call(t, launch(t, oneService(url+"/rest/V1/", "", test.service)), test.arguments)
			if err != nil {
				t.Fatal(err)
			}
			if test.payload != "" && payload != test.payload {
				t.Errorf("the payload: got %s, want %s", payload, test.payload)
			}
			if r, want := <-got, (seen{test.line, test.header, test.body}); r != want {
				t.Errorf("\n got %+v\nwant %+v", r, want)
			}
		})
	}
}

func TestAnArgumentChangesNeitherHostNorPathNorHeaders(t *testing.T) {
	var reached atomic.Int32
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		fmt.Fprint(w, `{}`)
	})
	p := launch(t, oneService(url, "", `"request":{"path":"orders/{id}","headers":{"X-Shop":"{shop}"}},"arguments":{"id":"string","shop":"string"},"optional":["shop"]`))
	for arguments, want := range map[string]string{
		`{"id":""}`:                      "is empty",
		`{"id":"."}`:                     `has a "." or ".."`,
		`{"id":".."}`:                    `has a "." or ".."`,
		`{"id":"..;x"}`:                  `has a "." or ".."`,
		`{"id":"../admin"}`:              `has a "." or ".."`,
		`{"id":"1/../../admin"}`:         `has a "." or ".."`,
		`{"id":"..\\admin"}`:             `has a "." or ".."`,
		`{"id":"%2e%2e"}`:                `has a "." or ".."`,
		`{"id":"%252e%252e%252fadmin"}`:  `has a "." or ".."`,
		`{"id":"1/refund"}`:              "has a slash",
		`{"id":"1%2Frefund"}`:            "has a slash",
		`{"id":"1\\refund"}`:             "has a slash",
		`{"id":"//evil.example"}`:        "has a slash",
		`{"id":"1\r\nX: y"}`:             "has a control character",
		`{"id":"1%0d%0aX: y"}`:           "has a control character",
		`{"id":"\u0000"}`:                "has a control character",
		`{"id":"1","shop":"a\r\nX: y"}`:  "X-Shop",
		`{"id":"1","shop":"a\nb"}`:       "X-Shop",
		`{"id":"1","shop":"a\u0000"}`:    "X-Shop",
		`{"id":"1","shop":" a"}`:         "X-Shop",
		`{"id":"1","shop":"ä"}`:          "X-Shop",
		`{"id":{"a":1}}`:                 `argument "id" is an object`,
		`{"id":"1","shop":["a"]}`:        `argument "shop" is an array`,
		`{"id":"1","shop":"a","more":1}`: `there is no argument "more"`,
		`{}`:                             `argument "id" is missing`,
	} {
		_, err := call(t, p, arguments)
		var failure *host.PluginError
		if !errors.As(err, &failure) || !failure.InvalidArguments || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it refused with %q", arguments, err, want)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests were sent all the same", n)
	}
	for _, id := range []string{"@evil.example", "evil.example:80", "?a=b", "#x", "a...b", "...", "ok"} {
		argument, _ := json.Marshal(map[string]string{"id": id})
		if _, err := call(t, p, string(argument)); err != nil {
			t.Errorf("%s: got %v, want it sent to the API", id, err)
		}
	}
}

func TestASlashIsSentEncodedWhereTheAPITakesIt(t *testing.T) {
	got := make(chan string, 1)
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r.RequestURI
		fmt.Fprint(w, `{}`)
	})
	p := launch(t, oneService(url, `,"encoded_slashes":true`, `"request":{"path":"products/{sku}"}`))
	if _, err := call(t, p, `{"sku":"a/b"}`); err != nil {
		t.Fatal(err)
	}
	if line := <-got; line != "/products/a%2Fb" {
		t.Errorf("got %s", line)
	}
	if _, err := call(t, p, `{"sku":"a/../b"}`); err == nil {
		t.Error("dots between slashes are sent")
	}
}

func TestArgumentsThatAreNotDeclaredAreThoseOfTheRequest(t *testing.T) {
	p := launch(t, oneService("https://shop.example.com", "", `"request":{"path":"a/{id}","query":{"q":"{text}"}}`))
	var schema struct {
		Properties map[string]struct{ Type []string }
		Required   []string
	}
	if err := json.Unmarshal(p.Description().Services[0].Arguments, &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Properties) != 2 || len(schema.Properties["id"].Type) != 3 || strings.Join(schema.Required, " ") != "id text" {
		t.Errorf("got %+v", schema)
	}
}

func TestAnswersThatAreNoneSaySoAndWhetherTheyMayBeOneLater(t *testing.T) {
	answer := func(status int, header, body string) string {
		return shop(t, func(w http.ResponseWriter, r *http.Request) {
			if name, value, ok := strings.Cut(header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	release := make(chan struct{})
	silent := shop(t, func(http.ResponseWriter, *http.Request) { <-release })
	drips := shop(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	for _, test := range []struct {
		name, url, api string
		want           string
		permanent      bool
	}{
		{"404", answer(404, "", `{"message":"The entity that was requested doesn't exist."}`), "", "404 Not Found (it says: The entity", false},
		{"400", answer(400, "", `{"detail":"bad\u001b[31m"}`), "", "400 Bad Request (it says: bad [31m)", true},
		{"400 where that may pass", answer(400, "", ""), `,"permanent":[422]`, "400 Bad Request", false},
		{"422", answer(422, "", "<html>"), "", "422 Unprocessable Entity", true},
		{"401", answer(401, "", ""), "", "401 Unauthorized: check auth", false},
		{"403", answer(403, "", ""), "", "403 Forbidden: check auth", false},
		{"429", answer(429, "", ""), "", "429 Too Many Requests", false},
		{"500", answer(500, "", ""), "", "500 Internal Server Error", false},
		{"a redirect", answer(302, "Location: https://example.com/?token=topsecret", ""), "", "redirects are not followed", false},
		{"no JSON", answer(200, "Content-Type: text/html; charset=utf-8", "<html>maintenance</html>"), "", `not with JSON: it is "text/html"`, false},
		{"nothing", answer(204, "", ""), "", "204 No Content, but not with JSON", false},
		{"too much", answer(200, "", `"`+strings.Repeat("x", 4<<20)+`"`), "", "more than 4 MiB", true},
		{"no result", answer(200, "", `{"items":[]}`), "", "has no $.items[0]", false},
		{"no answer", silent, `,"timeout":"100ms"`, "no answer from 127.0.0.1", false},
		{"half an answer", drips, `,"timeout":"100ms"`, "its body did not arrive", false},
		{"nobody there", "http://" + closed.Addr().String(), "", "connection refused", false},
		{"an unknown host", "http://no-such-host.invalid", "", "no-such-host.invalid", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := launch(t, oneService(test.url+"/topsecret", test.api+`,"auth":{"bearer":{"token":"topsecret"}}`, `"request":{"path":"orders/{id}"},"result":"$.items[0]"`))
			_, err := call(t, p, `{"id":"topsecret"}`)
			var failure *host.PluginError
			if !errors.As(err, &failure) || failure.Permanent != test.permanent || failure.InvalidArguments || !strings.Contains(failure.Message, test.want) {
				t.Errorf("got %v, want an error with %q, permanent: %t", err, test.want, test.permanent)
			}
			if err != nil && strings.Contains(err.Error(), "topsecret") {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

func TestRequestsSayWhoSendsThem(t *testing.T) {
	var revoked atomic.Bool
	var tokens atomic.Int32
	tokenURL := shop(t, func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "me" || secret != "s" || r.FormValue("scope") != "orders" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, tokens.Add(1))
	})
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		if revoked.Load() && r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"auth":%q,"key":%q}`, r.Header.Get("Authorization"), r.Header.Get("X-Key"))
	})
	request := `"request":{"path":"orders"}`
	for auth, want := range map[string]string{
		`,"auth":{"bearer":{"token":"abc"}}`:               `{"auth":"Bearer abc","key":""}`,
		`,"auth":{"basic":{"user":"me","password":"a:b"}}`: `{"auth":"Basic bWU6YTpi","key":""}`,
		`,"auth":{},"headers":{"X-Key":"k"}`:               `{"auth":"","key":"k"}`,
		`,"auth":{"oauth2":{"token_url":"` + tokenURL + `","client_id":"me","client_secret":"s","scopes":["orders"]}}`: `{"auth":"Bearer token-1","key":""}`,
	} {
		p := launch(t, oneService(url, auth, request))
		for range 2 {
			if got, err := call(t, p, `{}`); err != nil || got != want {
				t.Errorf("%s: got %s, %v, want %s", auth, got, err, want)
			}
		}
		if !strings.Contains(auth, "oauth2") {
			continue
		}
		revoked.Store(true)
		if got, err := call(t, p, `{}`); err != nil || !strings.Contains(got, "token-2") {
			t.Errorf("after the token was revoked: got %s, %v", got, err)
		}
	}
	p := launch(t, oneService(url, `,"auth":{"oauth2":{"token_url":"`+tokenURL+`/topsecret","client_id":"me","client_secret":"topsecret"}}`, request))
	var failure *host.PluginError
	if _, err := call(t, p, `{}`); !errors.As(err, &failure) || failure.Permanent || !strings.Contains(err.Error(), "no token from 127.0.0.1") || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("a client that the token endpoint doesn't know: got %v", err)
	}
}

func TestWhatAnAPISendsBackHoldsNoSecret(t *testing.T) {
	tokenURL := shop(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"access_token":"hidden-fetched","token_type":"bearer"}`)
	})
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		w.WriteHeader(400)
		raw, _ := json.Marshal(fmt.Sprintf("%s %s %s %s%s", r.Header.Get("Authorization"), r.Header.Get("X-Key"), password,
			strings.Repeat("x", 100), r.Header.Get("Authorization")+r.Header.Get("X-Key"))) // cut within them
		fmt.Fprintf(w, `{"message":%s}`, raw)
	})
	echo := shop(t, func(w http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"error":%q}`, secret)
	})
	for _, api := range []string{
		`,"auth":{"bearer":{"token":"hidden-token"}}`,
		`,"auth":{"basic":{"user":"u","password":"hidden-token"}}`,
		`,"auth":{"oauth2":{"token_url":"` + tokenURL + `","client_id":"me","client_secret":"s"}}`,
		`,"auth":{"oauth2":{"token_url":"` + echo + `","client_id":"me","client_secret":"hidden_secret"}}`,
		`,"headers":{"X-Key":"hidden-key"}`,
	} {
		_, err := call(t, launch(t, oneService(url, api, `"request":{"path":"orders"}`)), `{}`)
		if err == nil || !strings.Contains(err.Error(), "[secret]") || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "dTpoaWRkZW4tdG9rZW4") {
			t.Errorf("%s: got %v", api, err)
		}
	}
}

func TestEachCallAsksTheAPIAnew(t *testing.T) {
	var asked atomic.Int32
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match")+r.Header.Get("If-Modified-Since") != "" || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("the request is conditional, or lets others answer: %v", r.Header)
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Cache-Control", "max-age=3600")
		fmt.Fprint(w, asked.Add(1))
	})
	p := launch(t, oneService(url, "", `"request":{"path":"orders"}`))
	for _, want := range []string{"1", "2", "3"} {
		if got, err := call(t, p, `{}`); got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestCancellationReachesTheAPI(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, _ = launch(t, oneService(url, "", `"request":{"path":"orders"}`)).Resolve(ctx, "Shop", "get", `{}`)
	<-gone
}

func TestCallsShareConnections(t *testing.T) {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{}`) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p := launch(t, oneService(server.URL, "", `"request":{"path":"orders"}`))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if _, err := call(t, p, `{}`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := opened.Load(); n > 16 {
		t.Errorf("100 calls, 4 at a time, opened %d connections", n)
	}
}

func TestABadConfigurationIsRefusedByName(t *testing.T) {
	service := func(s string) string { return oneService("https://shop.example.com", "", s) }
	api := func(url, api string) string { return oneService(url, api, `"request":{"path":"a"}`) }
	p := start(t) // what was refused may be tried again
	for configuration, want := range map[string]string{
		`{"apis":{"shop":{}}}`: `"apis.shop.url" is missing`,
		`{"api":{}}`:           `"api"`,
		`{"services":[{"class":"A","method":"b","request":{"path":"a"}}]}`:                                                         "there are no apis",
		api("ftp://shop.example.com", ""):                                                                                          "apis.shop.url: URL has the scheme",
		api("https://user:topsecret@shop.example.com", ""):                                                                         "apis.shop.url: it carries a user name",
		api("https://shop.example.com/?a=b", ""):                                                                                   "apis.shop.url: it has a query",
		api("https://{shop}.example.com/", ""):                                                                                     "apis.shop.url",
		api("http://10.1.2.3/", ""):                                                                                                "egress.allow",
		api("http://169.254.169.254/", ""):                                                                                         "egress.allow",
		api("https://shop.example.com", `,"timeout":"1h"`):                                                                         "apis.shop.timeout",
		api("https://shop.example.com", `,"permanent":[200]`):                                                                      "apis.shop.permanent[0]",
		api("https://shop.example.com", `,"headers":{"Host":"a"}`):                                                                 "apis.shop.headers.Host",
		api("https://shop.example.com", `,"headers":{"A":"a\nb"}`):                                                                 "apis.shop.headers.A",
		api("https://shop.example.com", `,"headers":{"authorization":"a"}`):                                                        "say it with auth",
		api("https://shop.example.com", `,"auth":{"bearer":{"token":""}}`):                                                         "apis.shop.auth.bearer.token",
		api("https://shop.example.com", `,"auth":{"bearer":{"token":"a"},"basic":{"user":"a","password":"b"}}`):                    "more than one",
		api("https://shop.example.com", `,"auth":{"oauth2":{"token_url":"http://10.0.0.1/","client_id":"a","client_secret":"b"}}`): "apis.shop.auth.oauth2.token_url",
		service(`"api":"shp","request":{"path":"a"}`):                                                                              `services[0] (Shop::get): api: there is no "shp"`,
		service(`"request":{"path":"a/../b"}`):                                                                                     "request.path",
		service(`"request":{"path":"a//b"}`):                                                                                       "request.path",
		service(`"request":{"path":"a?b=c"}`):                                                                                      "request.path",
		service(`"request":{"path":"a/{id"}`):                                                                                      "request.path",
		service(`"request":{"path":"a/{}"}`):                                                                                       "request.path",
		service(`"request":{"path":"a/id}"}`):                                                                                      "request.path",
		service(`"request":{"method":"TRACE","path":"a"}`):                                                                         "request.method",
		service(`"request":{"method":"GET","path":"a","body":{}}`):                                                                 "request.body",
		service(`"request":{"path":"a","headers":{"a b":"c"}}`):                                                                    "request.headers.a b",
		service(`"request":{"path":"a","query":{"q":"{"}}`):                                                                        "request.query.q",
		service(`"request":{"path":"a","query":{"q":{}}}`):                                                                         "services[0].request.query.q",
		service(`"request":{"path":"{id}"},"arguments":{"sku":"string"}`):                                                          "request.path names {id}, which is not among the arguments",
		service(`"request":{"path":"{id}"},"arguments":{"id":"array"}`):                                                            "request.path names {id}, whose type can't stand there",
		service(`"request":{"path":"{id}"},"arguments":{"id":"int"}`):                                                              `arguments.id: there is no type "int"`,
		service(`"request":{"path":"a"},"arguments":{"id":{"type":"int"}}`):                                                        `arguments.id: there is no type "int"`,
		service(`"request":{"path":"a"},"arguments":{"id":{"properties":7}}`):                                                      "the schema of the arguments of Shop::get",
		service(`"request":{"path":"{id}"},"optional":["id"]`):                                                                     "which is optional",
		service(`"request":{"path":"a"},"optional":["id"]`):                                                                        `optional: there is no argument "id"`,
		service(`"request":{"path":"a"},"result":"items[0]"`):                                                                      "result: ",
		service(`"request":{"path":"a"},"result":"$.items[*]"`):                                                                    "result: ",
		service(`"request":{"path":"a"}},{"class":"Shop","method":"get","request":{"path":"b"}`):                                   "Shop::get is offered twice",
	} {
		err := p.Configure(t.Context(), configuration)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: got %v, want an error with %s", configuration, err, want)
		}
	}
}

// routes are those of Magento's REST API for the services of the sample.
var routes = map[string]struct{ arguments, line string }{
	`Magento\Sales\Api\OrderRepositoryInterface::get`:                          {`{"id":7}`, "/rest/V1/orders/7"},
	`Magento\Sales\Api\OrderItemRepositoryInterface::get`:                      {`{"id":7}`, "/rest/V1/orders/items/7"},
	`Magento\Sales\Api\InvoiceRepositoryInterface::get`:                        {`{"id":7}`, "/rest/V1/invoices/7"},
	`Magento\Sales\Api\ShipmentRepositoryInterface::get`:                       {`{"id":7}`, "/rest/V1/shipment/7"},
	`Magento\Sales\Api\CreditmemoRepositoryInterface::get`:                     {`{"id":7}`, "/rest/V1/creditmemo/7"},
	`Magento\Sales\Api\TransactionRepositoryInterface::get`:                    {`{"id":7}`, "/rest/V1/transactions/7"},
	`Magento\Rma\Api\RmaRepositoryInterface::get`:                              {`{"id":7}`, "/rest/V1/returns/7"},
	`Magento\Catalog\Api\ProductRepositoryInterface::get`:                      {`{"sku":"24 MB01","storeId":1}`, "/rest/V1/products/24%20MB01?storeId=1"},
	`Magento\Catalog\Api\CategoryRepositoryInterface::get`:                     {`{"categoryId":7}`, "/rest/V1/categories/7"},
	`Magento\CatalogInventory\Api\StockRegistryInterface::getStockItemBySku`:   {`{"productSku":"A"}`, "/rest/V1/stockItems/A"},
	`Magento\CatalogInventory\Api\StockRegistryInterface::getStockStatusBySku`: {`{"productSku":"A"}`, "/rest/V1/stockStatuses/A"},
	`Magento\InventorySalesApi\Api\GetProductSalableQtyInterface::execute`:     {`{"sku":"A","stockId":2}`, "/rest/V1/inventory/get-product-salable-quantity/A/2"},
	`Magento\Customer\Api\CustomerRepositoryInterface::getById`:                {`{"customerId":7}`, "/rest/V1/customers/7"},
	`Magento\Customer\Api\AddressRepositoryInterface::getById`:                 {`{"addressId":7}`, "/rest/V1/customers/addresses/7"},
	`Magento\Customer\Api\GroupRepositoryInterface::getById`:                   {`{"id":0}`, "/rest/V1/customerGroups/0"},
	`Magento\Quote\Api\CartRepositoryInterface::get`:                           {`{"cartId":7}`, "/rest/V1/carts/7"},
	`Magento\Cms\Api\PageRepositoryInterface::getById`:                         {`{"pageId":7}`, "/rest/V1/cmsPage/7"},
	`Magento\Cms\Api\BlockRepositoryInterface::getById`:                        {`{"blockId":7}`, "/rest/V1/cmsBlock/7"},
	`Magento\SalesRule\Api\RuleRepositoryInterface::getById`:                   {`{"ruleId":7}`, "/rest/V1/salesRules/7"},
	`Magento\SalesRule\Api\CouponRepositoryInterface::getById`:                 {`{"couponId":7}`, "/rest/V1/coupons/7"},
	`Shop\Orders::getByNumber`: {`{"number":"000000001"}`, "/rest/V1/orders?searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5Bfield%5D=increment_id" +
		"&searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5Bvalue%5D=000000001&searchCriteria%5BpageSize%5D=1"},
}

func TestTheSampleMapsMagentosRepositoriesToItsREST(t *testing.T) {
	content, err := os.ReadFile("postrider.yaml")
	if err != nil {
		t.Fatal(err)
	}
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer REPLACE-ME" {
			w.WriteHeader(401)
			return
		}
		fmt.Fprintf(w, `{"items":[{"line":%q}],"line":%q}`, r.RequestURI, r.RequestURI)
	})
	var sample struct {
		Plugins map[string]struct {
			Config any `yaml:"config"`
		} `yaml:"plugins"`
	}
	if err := yaml.Unmarshal([]byte(strings.Replace(string(content), "https://shop.example.com", url, 1)), &sample); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(sample.Plugins["http-api"].Config)
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, string(raw))
	offered := p.Description().Services
	if len(offered) != len(routes) {
		t.Errorf("%d services are offered, and %d are tried here", len(offered), len(routes))
	}
	for _, s := range offered {
		route := routes[s.Class+"::"+s.Method]
		payload, err := p.Resolve(t.Context(), s.Class, s.Method, route.arguments)
		if want := fmt.Sprintf(`"line":%q}`, route.line); err != nil || !strings.HasSuffix(payload, want) {
			t.Errorf("%s::%s: got %s, %v, want %s", s.Class, s.Method, payload, err, want)
		}
	}
}

func TestCallsThatHangHoldUpNoOther(t *testing.T) {
	release := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(100)
	url := shop(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/slow") {
			waiting.Done()
			<-release
		}
		fmt.Fprint(w, `{}`)
	})
	p := launch(t, oneService(url, `,"timeout":"30s"`, `"request":{"path":"orders/{id}"}`))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() { call(t, p, `{"id":"slow"}`) }) //nolint:errcheck // any end will do
	}
	waiting.Wait()
	began := time.Now()
	if _, err := call(t, p, `{"id":"fast"}`); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("beside 100 that hang: got %v after %v", err, time.Since(began))
	}
	close(release)
	group.Wait()
}
