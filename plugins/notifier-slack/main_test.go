package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/plugins/internal/plugintest"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

// quick is a configuration for stand-ins that take a message every millisecond.
const quick = `{"every":"1ms"}`

// delivery is one to url, as the daemon would make it.
func delivery(url, payload string) sdk.Delivery {
	return sdk.Delivery{
		ID: "dlv_01KG9ZX3T0ABCDEFGHJKMNPQRS", Attempt: 1, Event: "sales.order.created", EventID: "evt_01KG9ZX3T0ABCDEFGHJKMNPQRS",
		Time: time.Date(2026, 1, 31, 9, 30, 0, 0, time.UTC), Payload: json.RawMessage(payload), Subscriber: 7, URL: url, Token: "fv38u07Wdh$R@mRd",
	}
}

func TestThePluginPassesTheChecksOfEveryNotifier(t *testing.T) {
	s := newSlack(t, 0)
	sdktest.CheckNotifier(t, sdktest.NotifierCheck{
		Start:         start,
		Configuration: `{"every":"1ms","text":"{{.event}}"}`,
		Delivery:      sdk.Delivery{URL: s.hook("checks", hook{}), Settings: json.RawMessage(`{"text":"{{.payload.id}}"}`)},
	})
}

func TestAMessageSaysWhatHappenedUnlessSomebodySaysWhatItSays(t *testing.T) {
	const payload = `{"increment_id":"000000001","customer":{"name":"<!channel> & co"},"grand_total":36.390,"url":"https://shop.example/o?a=1&b=2","items":[{"sku":"A","qty":2},{"sku":"B` + "`" + `","qty":1}]}`
	tests := []struct {
		name, configuration, settings string
		text                          string
		blocks                        string // as JSON
	}{
		{
			name: "nobody does",
			text: "*sales.order.created*\n```{\n  \"customer\": {\n    \"name\": \"&lt;!channel&gt; &amp; co\"\n  },\n  \"grand_total\": 36.390,\n  \"increment_id\": \"000000001\",\n" +
				"  \"items\": [\n    {\n      \"qty\": 2,\n      \"sku\": \"A\"\n    },\n    {\n      \"qty\": 1,\n      \"sku\": \"B\\u0060\"\n    }\n  ],\n  \"url\": \"https://shop.example/o?a=1&amp;b=2\"\n}```",
		},
		{
			name:          "the configuration",
			configuration: `{"every":"1ms","text":"<!here> {{.payload.customer.name}}: {{.payload.grand_total}}{{range .payload.items}}{{if gt .qty 1}} {{.qty}}×{{.sku}}{{end}}{{end}} {{link .payload.url \"see <it>\"}} {{.payload.nobody}}"}`,
			text:          "<!here> &lt;!channel&gt; &amp; co: 36.390 2×A <https://shop.example/o?a=1&amp;b=2|see &lt;it&gt;> ",
		},
		{
			name:          "the subscriber, with blocks",
			configuration: `{"every":"1ms","text":"configured"}`,
			settings: `{"blocks":[
				{"type":"header","text":{"type":"plain_text","text":"Order {{.payload.increment_id}}"}},
				{"type":"section","fields":[{"type":"mrkdwn","text":"*Customer*\n{{.payload.customer.name}}"},{"type":"mrkdwn","text":"{{.payload.nobody}}"}]},
				{"type":"section","text":{"type":"mrkdwn","text":"{{.payload.nobody}}"}},
				{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Open"},"url":"{{.payload.url}}"}]}]}`,
			text: "sales.order.created",
			blocks: `[{"text":{"text":"Order 000000001","type":"plain_text"},"type":"header"},` +
				`{"fields":[{"text":"*Customer*\n&lt;!channel&gt; &amp; co","type":"mrkdwn"}],"type":"section"},` +
				`{"elements":[{"text":{"text":"Open","type":"plain_text"},"type":"button","url":"https://shop.example/o?a=1&b=2"}],"type":"actions"}]`,
		},
		{
			name:          "the subscriber, with a text in place of the configured blocks",
			configuration: `{"every":"1ms","blocks":[{"type":"divider"}]}`,
			settings:      `{"text":"only {{.event}} at {{date .time}}"}`,
			text:          "only sales.order.created at <!date^1769851800^{date_short_pretty} {time}|2026-01-31 09:30 UTC>",
		},
		{
			name:          "a template that says nothing",
			configuration: `{"every":"1ms","text":"{{.payload.nobody}}"}`,
			text:          "sales.order.created",
		},
	}
	s := newSlack(t, 0)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url := s.hook(strings.ReplaceAll(test.name, " ", ""), hook{})
			if test.configuration == "" {
				test.configuration = quick
			}
			d := delivery(url, payload)
			if test.settings != "" {
				d.Settings = json.RawMessage(test.settings)
			}
			if got, want := notify(t, launch(t, test.configuration), d), (sdk.Outcome{Status: sdk.StatusDelivered, Code: 200, Excerpt: "ok"}); got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			posted := s.posted(url)
			if len(posted) != 1 || posted[0].Text != test.text {
				t.Errorf("\n got %+v\nwant %q", posted, test.text)
			}
			if blocks, _ := json.Marshal(posted[0].Blocks); test.blocks != "" && !sameJSON(blocks, test.blocks) || test.blocks == "" && posted[0].Blocks != nil {
				t.Errorf("blocks:\n got %s\nwant %s", blocks, test.blocks)
			}
			if posted[0].UnfurlLinks == nil || *posted[0].UnfurlLinks {
				t.Error("Slack would look at the links of the payload")
			}
		})
	}
}

func sameJSON(got []byte, want string) bool {
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		return false
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestSlacksAnswersBecomeOutcomes(t *testing.T) {
	type want struct {
		status sdk.Status
		gone   bool
		reason string
		after  time.Duration
	}
	rejected, gone := want{status: sdk.StatusRejected}, want{status: sdk.StatusRejected, gone: true}
	tests := []struct {
		status int
		answer string
		header http.Header
		want   want
	}{
		{200, "ok", nil, want{status: sdk.StatusDelivered}},
		{400, "invalid_payload", nil, rejected},
		{400, "invalid_blocks", nil, rejected},
		{400, "no_text", nil, rejected},
		{400, "too_many_attachments", nil, rejected},
		{400, "user_not_found", nil, rejected},
		{403, "action_prohibited", nil, rejected},
		{403, "posting_to_general_channel_denied", nil, rejected},
		{403, "invalid_token", nil, gone},
		{403, "team_disabled", nil, gone},
		{404, "channel_not_found", nil, gone},
		{404, "no_service", nil, gone},
		{404, "no_active_hooks", nil, gone},
		{404, "no_team", nil, gone},
		{410, "channel_is_archived", nil, gone},
		{404, `{"ok":false,"error":"no_service"}`, nil, gone},
		{400, "something_new", nil, want{status: sdk.StatusRetry}},
		{404, "<html>not found</html>", nil, want{status: sdk.StatusRetry}},
		{429, "rate_limited", http.Header{"Retry-After": {"30"}}, want{status: sdk.StatusRetry, after: time.Second}}, // the stand-in's own
		{500, "rollup_error", nil, want{status: sdk.StatusRetry}},
		{503, "no_service", http.Header{"Retry-After": {"30"}}, want{status: sdk.StatusRetry, after: 30 * time.Second}}, // an outage is no verdict
		{302, "", http.Header{"Location": {"https://hooks.slack.com/services/T00000000/B0/" + secret}}, want{status: sdk.StatusRetry, reason: "redirects"}},
		{404, "no such path: /services/T00000000/B0/" + secret, nil, want{status: sdk.StatusRetry}},
	}
	s := newSlack(t, 0)
	p := launch(t, quick)
	for i, test := range tests {
		t.Run(test.answer, func(t *testing.T) {
			status := test.status
			if status == 200 {
				status = 0
			}
			url := s.hook(string(rune('A'+i)), hook{status: status, answer: test.answer, header: test.header})
			got := notify(t, p, delivery(url, `{}`))
			if got.Status != test.want.status || got.Gone != test.want.gone || got.Code != test.status || got.RetryAfter != test.want.after {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got.Status != sdk.StatusDelivered && (!strings.Contains(got.Reason, "127.0.0.1") || !strings.Contains(got.Reason, test.want.reason)) {
				t.Errorf("the reason %q says too little", got.Reason)
			}
			if word.MatchString(test.answer) && test.status != 200 && !strings.Contains(got.Reason, test.answer) {
				t.Errorf("the reason %q lacks Slack's word %q", got.Reason, test.answer)
			}
			if strings.Contains(got.Reason+got.Excerpt, secret) || strings.Contains(got.Reason+got.Excerpt, "T00000000") {
				t.Errorf("the webhook's secret is in %+v", got)
			}
		})
	}
}

func TestNetworkErrorsAreTriedAgainAndDontTellTheSecret(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, url := range []string{"http://" + closed.Addr().String() + "/services/" + secret, "http://no-such-host.invalid/services/" + secret} {
		got := notify(t, launch(t, quick), delivery(url, `{}`))
		if got.Status != sdk.StatusRetry || got.Reason == "" || strings.Contains(got.Reason, secret) {
			t.Errorf("%s: got %+v", url, got)
		}
	}
	got := notify(t, launch(t, quick), delivery("http://10.1.2.3/services/"+secret, `{}`))
	if got.Status != sdk.StatusRejected || !strings.Contains(got.Reason, "egress.allow") || strings.Contains(got.Reason, secret) {
		t.Errorf("a private address: got %+v", got)
	}
}

func TestABurstIsDeliveredAndCostsEachDeliveryOneMoreAttemptAtMost(t *testing.T) {
	const every = 50 * time.Millisecond
	const burst = 20 // twice as many as can wait for their turn within the time that an attempt has here
	s := newSlack(t, 0)
	url := s.hook("burst", hook{})
	p := launch(t, `{"every":"50ms"}`)
	var attempts [burst]int
	var group sync.WaitGroup
	for i := range burst {
		group.Go(func() {
			d := delivery(url, `{}`)
			d.ID += string(rune('A' + i))
			for d.Attempt = 1; ; d.Attempt++ {
				ctx, cancel := context.WithTimeout(t.Context(), margin+10*every)
				got, err := p.Notify(ctx, d)
				cancel()
				attempts[i] = d.Attempt
				if got.Status == sdk.StatusDelivered {
					return
				}
				if err != nil || got.Status != sdk.StatusRetry || got.RetryAfter <= 0 || got.Code != 0 {
					t.Errorf("got %+v, %v, want a retry when it is its turn", got, err)
					return
				}
				<-time.After(got.RetryAfter) // as the daemon does
			}
		})
	}
	group.Wait()
	posted := s.posted(url)
	if len(posted) != burst {
		t.Fatalf("%d of %d were posted", len(posted), burst)
	}
	if took := posted[burst-1].at.Sub(posted[0].at); took < burst/2*every { // exactly: line_test.go
		t.Errorf("all were posted within %v: they were not spread", took)
	}
	if slices.Min(attempts[:]) != 1 || slices.Max(attempts[:]) != 2 {
		t.Errorf("attempts of each delivery: %d, want 1, and 2 of those that could not wait here", attempts)
	}
}

func TestABusyWebhookHoldsUpNoOther(t *testing.T) {
	s := newSlack(t, 0)
	busy, other := s.hook("busy", hook{}), s.hook("other", hook{})
	p := launch(t, `{"every":"1m"}`)
	notify(t, p, delivery(busy, `{}`))
	began := time.Now()
	d := delivery(busy, `{}`)
	d.ID = "dlv_2"
	if got := notify(t, p, d); got.Status != sdk.StatusRetry || got.RetryAfter < 50*time.Second || !strings.Contains(got.Reason, "turn") {
		t.Errorf("the second one of a minute: got %+v", got)
	}
	if got := notify(t, p, delivery(other, `{}`)); got.Status != sdk.StatusDelivered {
		t.Errorf("another webhook: got %+v", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("they took %v", took)
	}
}

func TestWhatSlackPutsOffIsNotSentBefore(t *testing.T) {
	s := newSlack(t, 0)
	url := s.hook("limited", hook{status: 429, answer: "rate_limited"}) // with a Retry-After of 1 s
	p := launch(t, quick)
	first := time.Now()
	if got := notify(t, p, delivery(url, `{}`)); got.RetryAfter != time.Second {
		t.Fatalf("got %+v", got)
	}
	s.mu.Lock()
	s.hooks[strings.TrimPrefix(url, s.URL)].status = 0
	s.mu.Unlock()
	d := delivery(url, `{}`)
	d.ID = "dlv_2"
	if got := notify(t, p, d); got.Status != sdk.StatusDelivered {
		t.Errorf("got %+v", got)
	}
	if after := s.posted(url)[0].at.Sub(first); after < time.Second {
		t.Errorf("the next message was sent %v after the one that was put off by 1s", after)
	}
}

func TestABadConfigurationIsRefusedByName(t *testing.T) {
	for configuration, want := range map[string]string{
		`{"every":"0s"}`:         "every",
		`{"every":"2h"}`:         "every",
		`{"timeout":"soon"}`:     "timeout",
		`{"txt":"hello"}`:        `"txt"`,
		`{"text":7}`:             `"text"`,
		`{"text":"{{.event"}`:    "text:1",
		`{"text":"{{call_me}}"}`: `function "call_me" not defined`,
		`{"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"ok\n{{if}}"}}]}`: "blocks[0].text.text:2",
		`{"blocks":["{{.event}}"]}`: "blocks[0]",
	} {
		if err := start(t).Configure(t.Context(), configuration); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %s", configuration, err, want)
		}
	}
}

func TestATemplateThatFailsEndsTheDeliveryWithItsNameAndWithoutThePayload(t *testing.T) {
	s := newSlack(t, 0)
	for settings, want := range map[string]string{
		`{"text":"{{.payload.name"}`:                   "settings of subscriber 7: text:1",
		`{"text":"{{.payload.name.first}}"}`:           "text:1:",
		`{"blocks":[{"type":"{{index .payload 9}}"}]}`: "blocks[0].type:1:",
		`{"text":"{{html .payload.name}}"}`:            "no html here",
		`{"text":"{{range .payload.many}}{{range $.payload.many}}{{range $.payload.many}}{{end}}{{end}}{{end}}"}`: "may loop 10000 times",
		`{"text":"{{define \"a\"}}{{template \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}"}`:                "may loop 10000 times",
		`{"text":"{{$x := .payload.name}}{{range .payload.many}}{{$x = print $x $x}}{{end}}"}`:                    "may work on 16 MiB",
		`{"text":"{{$x := printf \"%999999999d\" 1}}"}`:                                                           "two digits",
	} {
		d := delivery(s.hook("fails", hook{}), `{"name":"Confidential","many":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32]}`)
		d.Settings = json.RawMessage(settings)
		outcome, err := launch(t, quick).Notify(t.Context(), d)
		failure, ok := err.(*host.PluginError)
		if !ok || !failure.Permanent || !strings.Contains(failure.Message, want) || strings.Contains(failure.Message, "Confidential") {
			t.Errorf("%s: got %+v, %v, want a permanent error with %q", settings, outcome, err, want)
		}
	}
}

func TestWhatIsTooLongForSlackIsShortened(t *testing.T) {
	s := newSlack(t, 0)
	url := s.hook("long", hook{})
	long := strings.Repeat("ä&", 30_000)
	payload, err := json.Marshal(map[string]any{"long": long, "many": make([]int, 100)})
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for range 60 {
		blocks = append(blocks, `{"type":"section","text":{"type":"mrkdwn","text":"{{.payload.long}}"}}`)
	}
	blocks[0] = `{"type":"header","text":{"type":"plain_text","text":"{{.payload.long}}"}}`
	blocks[1] = `{"type":"section","fields":[` + strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"{{.payload.long}}"},`, 12), ",") + `]}`
	d := delivery(url, string(payload))
	d.Settings = json.RawMessage(`{"text":"{{.payload.long}}","blocks":[` + strings.Join(blocks, ",") + `]}`)
	if got := notify(t, launch(t, quick), d); got.Status != sdk.StatusDelivered {
		t.Fatalf("got %+v", got)
	}
	m := s.posted(url)[0]
	if n := len([]rune(m.Text)); n > 40_000 || n < 39_000 || !strings.HasSuffix(m.Text, "…") {
		t.Errorf("the text has %d characters, and ends in %q", n, m.Text[len(m.Text)-20:])
	}
	if len(m.Blocks) != 50 {
		t.Errorf("%d blocks, want 50", len(m.Blocks))
	}
}

func TestTheSamplesAreAccepted(t *testing.T) {
	settings, err := os.ReadFile("settings.json")
	if err != nil {
		t.Fatal(err)
	}
	s := newSlack(t, 0)
	url := s.hook("samples", hook{})
	order := `{"increment_id":"000000001","entity_id":1,"customer_firstname":"A","customer_lastname":"B","grand_total":36.39,"order_currency_code":"EUR",` +
		`"items":[{"name":"Bag","qty_ordered":2}]}`
	for name, configuration := range plugintest.Samples(t, "slack") {
		p := launch(t, configuration)
		for _, s := range []json.RawMessage{nil, settings} {
			d := delivery(url, order)
			d.ID += name + string(s[:min(len(s), 1)])
			d.Settings = s
			if got := notify(t, p, d); got.Status != sdk.StatusDelivered {
				t.Errorf("notifiers.%s (settings %s): got %+v", name, s, got)
			}
		}
	}
	for _, m := range s.posted(url) {
		if shown, _ := json.Marshal(m); !strings.Contains(string(shown), "000000001") {
			t.Errorf("a sample doesn't show the order's number: %s", shown)
		}
	}
}
