package endtoend

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// webAPI stands in for an application's REST API, and remembers what it was asked.
type webAPI struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
}

// startWebAPI starts an API that knows one path, wants a token, and answers with a document.
func startWebAPI(t *testing.T, path, token, document string) *webAPI {
	t.Helper()
	a := new(webAPI)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked = append(a.asked, r)
		a.mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path != path:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, document)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *webAPI) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*http.Request(nil), a.asked...)
}

// resolvesBy is an installation whose orders come from a REST API. Its plugin directory holds resolver-http and what is named beside it.
func resolvesBy(t *testing.T, api *webAPI, extra ...string) *installation {
	t.Helper()
	in := install(t, append([]string{`plugins:
  http-api:
    config:
      apis: {shop: {url: ` + api.URL + `/rest/V1, auth: {bearer: {token: "${env:SHOP_TOKEN}"}}}}
      services:
        - {class: 'Magento\Sales\Api\OrderRepositoryInterface', method: get, request: {path: 'orders/{id}'}, arguments: {id: integer}}`}, extra...)...)
	in.env = append(in.env, "SHOP_TOKEN=only-for-the-shop")
	in.ownPlugins("notifier-http")
	in.installPlugin(built(t, "plugins/resolver-http"), "resolver-http")
	return in
}

func TestAnEventBecomesWhatARESTAPIAnswers(t *testing.T) {
	t.Parallel()
	api := startWebAPI(t, "/rest/V1/orders/7", "only-for-the-shop", `{"entity_id":7,"increment_id":"000000007"}`)
	in := resolvesBy(t, api)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("sales.order.created", r.URL)
	in.postrider("publish", "sales.order.created", "--args", `{"id":7}`)
	eventually(t, "the order arrives", func() bool { n, _ := r.counts(); return n == 1 })
	if body := string(r.all()[0].Body); !strings.HasSuffix(body, `"data":{"entity_id":7,"increment_id":"000000007"}}`) {
		t.Errorf("the receiver got %s", body)
	}
	if asked := api.requests(); len(asked) != 1 || asked[0].Method != http.MethodGet {
		t.Errorf("the API was asked %d times: %+v", len(asked), asked)
	}
	if log := in.log.tail(1 << 20); strings.Contains(log, "only-for-the-shop") {
		t.Error("the log holds the token")
	}
	d.stop()
	asked := len(api.requests())

	in.replace("postrider.yaml", "egress: {allow: [127.0.0.1]}", "egress: {allow: []}")
	if said := in.fails("serve"); !strings.Contains(said, "egress.allow") || len(api.requests()) != asked {
		t.Errorf("without egress.allow, the API was asked %d times more, and the daemon said: %s", len(api.requests())-asked, said)
	}
}

// traceOf returns the two ids of a header traceparent.
func traceOf(t *testing.T, header http.Header) (trace, span string) {
	t.Helper()
	parts := regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-01$`).FindStringSubmatch(header.Get("traceparent"))
	if parts == nil {
		t.Fatalf("traceparent is %q", header.Get("traceparent"))
	}
	return parts[1], parts[2]
}

func TestDaemonPluginReceiverAndWebAPISeeOneTracePerEventAlsoAcrossARestart(t *testing.T) {
	t.Parallel()
	api := startWebAPI(t, "/rest/V1/orders/7", "only-for-the-shop", `{"do":"say"}`)
	in := resolvesBy(t, api, `retry: ["10ms"]`)
	in.installPlugin(filepath.Join(bin, "chaos"), "chaos")
	d := in.serve()
	r := receive(t, always(500))
	d.subscribe("sales.order.created", r.URL)
	if status, body := d.call("POST", "/v1/subscribers", map[string]any{"event": "sales.order.created", "notifier": "chaos", "url": r.URL}); status != 201 {
		t.Fatalf("subscribe: %d %s", status, body)
	}
	in.postrider("publish", "sales.order.created", "--args", `{"id":7}`)
	d.settled("dead", 1)
	eventually(t, "the plugin has said what it was told to", func() bool { return strings.Contains(in.log.tail(1<<20), "as told") })
	d.kill()
	d = in.serve()
	in.postrider("dead-letter", "replay", r.all()[0].ID)
	eventually(t, "the replay arrives", func() bool { return len(r.all()) >= 3 })

	trace, first := traceOf(t, r.all()[0].Header)
	spans := map[string]bool{}
	for _, one := range r.all()[:3] {
		same, span := traceOf(t, one.Header)
		if same != trace || spans[span] {
			t.Errorf("attempt %s is of trace %s, span %s; the first was of %s, span %s", one.Attempt, same, span, trace, first)
		}
		spans[span] = true
	}
	if asked, _ := traceOf(t, api.requests()[0].Header); asked != trace {
		t.Errorf("the API was asked in trace %s, the receiver in %s", asked, trace)
	}
	for _, said := range []string{`delivery is dead: .*attempt=2 trace=`, `as told: plugin=chaos delivery=dlv_\w+ trace=`} {
		if line := regexp.MustCompile(said + trace); !line.MatchString(in.log.tail(1 << 20)) {
			t.Errorf("the log has no line %s", line)
		}
	}
	d.stop()
}
