package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFindsTheNumberThatWasFilledIn(t *testing.T) {
	for _, batch := range []int{1, 3} {
		body := eventBody("a.b", 100, batch).clone()
		body.fill(12, 345)
		if got := len(body.slots); got != batch {
			t.Fatalf("batch of %d: got %d slots", batch, got)
		}
		phase, event, ok := number(body.content)
		if phase != 12 || event != 345 || !ok {
			t.Errorf("batch of %d: got phase %d event %d %v, want 12, 345, true", batch, phase, event, ok)
		}
		if !strings.Contains(string(body.content), fmt.Sprintf("0012-%010d", 345+batch-1)) {
			t.Errorf("batch of %d: the last number is not filled in: %s", batch, body.content)
		}
	}
	for _, body := range []string{"", `{"seq":"`, `{"seq":"0001-00000000`, `{"seq":"0001-00000000xx","pad":""}`} {
		if _, _, ok := number([]byte(body)); ok {
			t.Errorf("found a number in %q", body)
		}
	}
}

func TestPayloadsHaveTheSizeThatIsAskedFor(t *testing.T) {
	for _, want := range []int{MinSize, 100, 1024} {
		if got := len(payload(want)); got != want {
			t.Errorf("got %d bytes, want %d", got, want)
		}
	}
}

// forwarder is a daemon of the simplest kind: it accepts an event, and then delivers it as often as it is told to.
func forwarder(t *testing.T, r *Receiver, times func(n int64) int) *httptest.Server {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		for range times(n.Add(1)) {
			answer, err := http.Post(r.URL(), "application/json", strings.NewReader(string(body)))
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func newReceiver(t *testing.T) *Receiver {
	r, err := NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestAccountsForEveryEvent(t *testing.T) {
	r := newReceiver(t)
	daemon := forwarder(t, r, func(int64) int { return 1 })
	result, err := Run(context.Background(), Config{
		URL: daemon.URL, Event: "a.b", Events: 300, Publishers: 8, Size: 256, Batch: 1, Rate: 200, Duration: 200 * time.Millisecond,
	}, r)
	if err != nil {
		t.Fatal(err)
	}
	if result.Lost != 0 || result.Duplicated != 0 || result.Load.Events != 300 || result.Raw.Posts != 300 || result.Steady.Events != 40 {
		t.Errorf("got %+v", result)
	}
	if result.Ratio <= 0 || result.Load.Latency.P50 <= 0 || result.Steady.Latency.P99 < result.Steady.Latency.P50 {
		t.Errorf("figures are missing: %+v", result)
	}
}

func TestCountsWhatComesTwice(t *testing.T) {
	r := newReceiver(t)
	const events = 100
	daemon := forwarder(t, r, func(n int64) int {
		if n == events+1 || n == events+2 { // behind those of the warm-up
			return 2
		}
		return 1
	})
	result, err := Run(context.Background(), Config{URL: daemon.URL, Event: "a.b", Events: events, Publishers: 4, Size: 64, Batch: 1}, r)
	if err != nil {
		t.Fatal(err)
	}
	if result.Duplicated != 2 || result.Lost != 0 || result.Steady != nil {
		t.Errorf("got %d duplicated, %d lost, steady %v; want 2, 0, none", result.Duplicated, result.Lost, result.Steady)
	}
}

func TestSaysWhatTheDaemonRefused(t *testing.T) {
	r := newReceiver(t)
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no space left", http.StatusInsufficientStorage)
	}))
	defer daemon.Close()
	_, err := Run(context.Background(), Config{URL: daemon.URL, Event: "a.b", Events: 10, Publishers: 2, Size: 64, Batch: 1}, r)
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v, want the daemon's words", err)
	}
}
