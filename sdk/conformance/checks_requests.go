package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// work returns a request that the plugin should be able to fulfil, and whether it must.
func (t *trial) work(p *Plugin) (q request, must bool, err error) {
	if p.Process.Description().Role == host.RoleNotifier {
		d, err := t.delivery()
		return request{delivery: d}, true, err
	}
	calls, must := t.calls(p)
	if len(calls) == 0 {
		return request{}, false, skipf("no call is known")
	}
	return request{call: calls[0]}, must, nil
}

// fulfilled says what is wrong with the answer to a request that work returned, or "".
func fulfilled(a answer, must bool) string {
	if wrong := a.wrong(); wrong != "" {
		return "an answer " + strings.Replace(wrong, "is ", "that is ", 1)
	}
	if must && (a.failure != nil || a.outcome != nil && !a.delivered()) {
		return a.String()
	}
	return ""
}

// worksStill wants a request to be fulfilled after what the check did.
func (t *trial) worksStill(ctx context.Context, p *Plugin, after string) error {
	q, must, err := t.work(p)
	if err != nil {
		return err
	}
	a, err := p.answer(ctx, q)
	if err != nil {
		return fmt.Errorf("after %s: %w", after, err)
	}
	if wrong := fulfilled(a, must); wrong != "" {
		t.problem("after %s, a request that can be fulfilled got %s", after, wrong)
	}
	return nil
}

// most is how many requests the checks have in flight at a time, if the plugin allows it.
const most = 256

var answersMany = Check{
	Name: "answers many at once",
	Rule: "Up to max_in_flight requests are in flight, of which a message may hold any number. Each gets exactly one answer, with its own id, in any order.",
	Advice: "Start every request of a message without waiting for the one before; keep the id, 64 bits without a sign, with the request; let one writer at a time write " +
		"to the stream.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		q, must, err := t.work(p)
		if err != nil {
			return err
		}
		n := min(p.Process.Description().MaxInFlight, most)
		for range 4 {
			requests := make([]request, n)
			for i := range requests {
				requests[i] = q
			}
			half, err := p.ask(requests[:n/2]...) // some together, some singly
			if err != nil {
				return err
			}
			for range requests[n/2:] {
				one, err := p.ask(q)
				if err != nil {
					return err
				}
				half = append(half, one...)
			}
			for i, asked := range half {
				a, err := p.await(ctx, asked, p.patience)
				if err != nil {
					return fmt.Errorf("%d requests at once, the %d. of them: %w", n, i+1, err)
				}
				if wrong := fulfilled(a, must); wrong != "" {
					t.problem("of %d requests at once, the %d. got %s", n, i+1, wrong)
					return nil
				}
			}
		}
		return nil
	},
}

var ignoresUnknowns = Check{
	Name:   "ignores what it doesn't know",
	Rule:   "Fields of a later version of the protocol, empty messages, and cancellations of what isn't in flight change nothing.",
	Advice: "Take no notice of unknown fields (protobuf libraries don't) and of ids that you don't have.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		q, must, err := t.work(p)
		if err != nil {
			return err
		}
		if err := p.cancel(1, 1<<40, 1<<63); err != nil {
			return err
		}
		if err := p.cancel(); err != nil { // an empty message
			return err
		}
		q.newer = true
		a, err := p.answer(ctx, q)
		if err != nil {
			return err
		}
		if wrong := fulfilled(a, must); wrong != "" {
			t.problem("a request with a field of a later version got %s", wrong)
		}
		return t.worksStill(ctx, p, "cancellations of nothing, an empty message, and a field of a later version")
	},
}

var survivesHostility = Check{
	Name:   "survives hostile requests",
	Rule:   "Whatever is in a request, it costs that request alone: it is answered, and the plugin goes on.",
	Advice: "Catch what your code throws where the request begins, and answer with a failure. Only the plugin's end affects others.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		requests, err := t.hostile(p)
		if err != nil {
			return err
		}
		for _, h := range requests {
			a, err := p.answer(ctx, h.request)
			if err != nil {
				return fmt.Errorf("a request with %s: %w", h.what, err)
			}
			if wrong := a.wrong(); wrong != "" {
				t.problem("its answer to a request with %s %s", h.what, wrong)
			}
		}
		if err := t.well(ctx, p); err != nil {
			return err
		}
		return t.worksStill(ctx, p, "hostile requests")
	},
}

type hostility struct {
	what string
	request
}

// hostile returns requests that nobody should send.
func (t *trial) hostile(p *Plugin) (requests []hostility, err error) {
	documents := map[string][]byte{
		"no JSON at all":                        nil,
		"a null":                                []byte(`null`),
		"JSON that ends in its midst":           []byte(`{"id":`),
		"bytes that are no UTF-8":               []byte("{\"\xff\xfe\":\"\x00\"}"),
		"brackets 100,000 deep":                 bytes.Repeat([]byte(`[`), 100_000),
		"an object 50,000 deep":                 append(append(bytes.Repeat([]byte(`{"a":`), 50_000), '1'), bytes.Repeat([]byte(`}`), 50_000)...),
		"a number that is too large for any":    []byte(`{"id":1e999999}`),
		"a number of 10,000 digits":             []byte(`{"id":` + strings.Repeat("9", 10_000) + `}`),
		"a member that JavaScript objects have": []byte(`{"__proto__":{"id":1},"constructor":null}`),
	}
	good, _, err := t.work(p)
	if err != nil {
		return nil, err
	}
	add := func(what string, change func(*request)) {
		q := good
		change(&q)
		requests = append(requests, hostility{what, q})
	}
	if p.Process.Description().Role == host.RoleResolver {
		for what, document := range documents {
			add(what+" for arguments", func(q *request) { q.call.Arguments = document })
		}
		add("nothing in it", func(q *request) { q.call = Call{} })
		add("a class of 100,000 letters", func(q *request) { q.call.Class = strings.Repeat("x", 100_000) })
		return requests, nil
	}
	for what, document := range documents {
		add(what+" for a payload", func(q *request) { q.delivery.Payload = document })
		add(what+" for settings", func(q *request) { q.delivery.Settings = document })
	}
	for _, url := range []string{"", "no URL", "http://", "http://[::1", "http://127.0.0.1:99999/", "file:///etc/passwd", "\r\n", "//\x00"} {
		add(fmt.Sprintf("the URL %q", url), func(q *request) { q.delivery.URL = url })
	}
	add("a URL of 100,000 letters", func(q *request) { q.delivery.URL += strings.Repeat("x", 100_000) })
	add("line ends in the token", func(q *request) { q.delivery.Token = "a\r\nhost: b\x00" })
	add("line ends in names", func(q *request) {
		q.delivery.Event, q.delivery.ID, q.delivery.EventID = "a\r\nb: c", "a\r\nb: c", "a\r\nb: c"
	})
	add("no envelope", func(q *request) { q.delivery.Envelope = "" })
	add("an unknown envelope", func(q *request) { q.delivery.Envelope = "wax-sealed" })
	add("nothing in it", func(q *request) { q.delivery = sdk.Delivery{Time: time.UnixMilli(0)} })
	return requests, nil
}

var takesLargeRequests = Check{
	Name:   "takes up to 4 MiB",
	Rule:   "Payloads and arguments have up to 4 MiB, a message of several requests up to 16 MiB.",
	Advice: "Raise gRPC's limit for received messages, 4 MiB unless told otherwise, to 16 MiB, and that for sent ones too.",
	run: func(ctx context.Context, t *trial) error {
		p, err := t.ready(ctx)
		if err != nil {
			return err
		}
		q, _, err := t.work(p)
		if err != nil {
			return err
		}
		large := []byte(`{"large":"` + strings.Repeat("x", sdk.MaxPayload-len(`{"large":""}`)) + `"}`)
		q.call.Arguments, q.delivery.Payload = large, large
		for _, n := range []int{1, min(3, p.Process.Description().MaxInFlight)} {
			asked, err := p.ask([]request{q, q, q}[:n]...)
			if err != nil {
				return err
			}
			for _, one := range asked {
				a, err := p.await(ctx, one, p.patience)
				if err != nil {
					return fmt.Errorf("%d requests of 4 MiB in one message: %w", n, err)
				}
				if wrong := a.wrong(); wrong != "" {
					t.problem("its answer to a request of 4 MiB %s", wrong)
				}
			}
		}
		return t.worksStill(ctx, p, "requests of 4 MiB")
	},
}
