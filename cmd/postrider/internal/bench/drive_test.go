package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// forwarder is a daemon of the simplest kind: it accepts an event, and then delivers it to each endpoint as often as it is told to.
func forwarder(t *testing.T, endpoints []*endpoint, times func(n int64) int) *httptest.Server {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		for range times(n.Add(1)) {
			for _, e := range endpoints {
				answer, err := http.Post(e.url, "application/json", strings.NewReader(string(body)))
				if err != nil {
					t.Error(err)
					return
				}
				answer.Body.Close()
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func testLab(t *testing.T, s Settings) *lab {
	s.Executable = thisProgram(t)
	l, err := newLab("test", s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// to returns traffic of one event in a request to url.
func to(url string) traffic {
	return traffic{to: destination{URL: url, Accepted: http.StatusAccepted}, publishers: 8, mix: mix{Bodies: []template{eventBody("a.b", 128, 1)}}}
}

func once(int64) int { return 1 }

func TestAccountsForEveryEvent(t *testing.T) {
	l := testLab(t, Settings{})
	daemon := forwarder(t, l.receiver.add(1), once)
	events := to(daemon.URL)
	o := newOutcome()
	for range 2 {
		if err := l.floodAll(t.Context(), &o, "flood", events, 150); err != nil {
			t.Fatal(err)
		}
	}
	if o.events != 300 || o.received != 300 || o.lost() != 0 || o.duplicated != 0 || o.perSecond() <= 0 || o.times.latency().P50 <= 0 {
		t.Errorf("flood: got %+v", o)
	}
	paced, err := l.paceAll(t.Context(), "pace", events, 200, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if paced.events != 40 || paced.received != 40 || paced.whole < 190*time.Millisecond {
		t.Errorf("pace: got %+v", paced)
	}
	total := 0.0
	for _, s := range l.report.Timeline {
		if s.End <= s.Start || len(s.Points) == 0 {
			t.Fatalf("segment %+v", s)
		}
		step := (s.Points[0].At - s.Start) * 2
		for _, p := range s.Points {
			total += p.PerSecond * min(step, (s.End-p.At)*2) // the last step may be shorter
		}
	}
	if total < 290 || total > 341 { // a sliver at the end is left out
		t.Errorf("the timeline holds %.0f arrivals, want about 340", total)
	}
}

func TestCountsWhatComesTwice(t *testing.T) {
	l := testLab(t, Settings{})
	daemon := forwarder(t, l.receiver.add(1), func(n int64) int {
		if n <= 2 {
			return 2
		}
		return 1
	})
	o := newOutcome()
	if err := l.floodAll(t.Context(), &o, "flood", to(daemon.URL), 100); err != nil {
		t.Fatal(err)
	}
	if o.duplicated != 2 || o.lost() != 0 {
		t.Errorf("got %d duplicated, %d lost; want 2, 0", o.duplicated, o.lost())
	}
}

func TestCountsEachDeliveryOfAnEventOnItsOwn(t *testing.T) {
	l := testLab(t, Settings{})
	events := to(forwarder(t, l.receiver.add(3), once).URL)
	events.fan = 3
	o := newOutcome()
	if err := l.floodAll(t.Context(), &o, "fan-out", events, 10); err != nil {
		t.Fatal(err)
	}
	if o.events != 10 || o.received != 30 || o.awaited != 30 || o.duplicated != 0 {
		t.Errorf("got %+v, want 10 events, 30 deliveries", o)
	}
}

func TestAnOpenLoopCountsFromWhenAPublishWasMeantToBegin(t *testing.T) {
	l := testLab(t, Settings{})
	endpoint := l.receiver.add(1)[0]
	const events, perSecond = 2*inFlight + 200, 5000
	stall := time.After(events*time.Second/perSecond + 200*time.Millisecond)
	open := make(chan struct{})
	go func() { <-stall; close(open) }()
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		<-open
		answer, err := http.Post(endpoint.url, "application/json", strings.NewReader(string(body)))
		if err == nil {
			answer.Body.Close()
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer daemon.Close()
	// Half of them find no room before the stall is over: what they waited for it counts all the same.
	o, err := l.paceAll(t.Context(), "pace", to(daemon.URL), perSecond, events*time.Second/perSecond)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.times.h.Min(); time.Duration(got) < 190*time.Millisecond {
		t.Errorf("an event was received %s after it was meant to be sent: the stall does not show", time.Duration(got))
	}
}

func TestThoseWhoAreIllAreNotAwaited(t *testing.T) {
	l := testLab(t, Settings{})
	endpoints := l.receiver.add(2)
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		w.WriteHeader(http.StatusAccepted)
		_, event, _ := eventNumber(body)
		go func() {
			answer, err := http.Post(endpoints[event%2].url, "application/json", strings.NewReader(string(body)))
			if err == nil {
				answer.Body.Close()
			}
		}()
	}))
	defer daemon.Close()
	events := to(daemon.URL)
	events.ignored = func(n int) bool { return n%2 == 1 }
	for _, fallIll := range []func(*endpoint){(*endpoint).hang, (*endpoint).fail} {
		fallIll(endpoints[1])
		o := newOutcome()
		if err := l.floodAll(t.Context(), &o, "flood", events, 40); err != nil {
			t.Fatal(err)
		}
		if o.events != 40 || o.awaited != 20 || o.received != 20 || o.duplicated != 0 {
			t.Errorf("got %+v, want 20 of 40 awaited and received", o)
		}
	}
}

func TestAnEndpointThatRefusesOnceTakesTheSecondAttempt(t *testing.T) {
	l := testLab(t, Settings{})
	endpoints := l.receiver.add(1)
	daemon := forwarder(t, endpoints, func(int64) int { return 2 })
	endpoints[0].refuseOnce()
	p, err := l.flood(t.Context(), "refused", to(daemon.URL), 20)
	if err != nil {
		t.Fatal(err)
	}
	o, err := l.settle(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if o.received != 20 || o.duplicated != 0 {
		t.Errorf("got %+v, want 20 received", o)
	}
	for i := range p.refused {
		if refused, arrived := p.refused[i].Load(), p.arrived[i].Load(); refused == 0 || arrived <= refused {
			t.Fatalf("event %d was refused at %d and arrived at %d", i, refused, arrived)
		}
	}
}

func TestSaysWhatTheDaemonRefused(t *testing.T) {
	l := testLab(t, Settings{})
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no space left\n", http.StatusInsufficientStorage)
	}))
	defer daemon.Close()
	for name, drive := range map[string]func() error{
		"flood": func() error { _, err := l.flood(t.Context(), "flood", to(daemon.URL), 10); return err },
		"pace":  func() error { _, err := l.pace(t.Context(), "pace", to(daemon.URL), 100, time.Second); return err },
	} {
		want := daemon.URL + " answered 507 Insufficient Storage: no space left"
		if err := drive(); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want the daemon's words: %s", name, err, want)
		}
	}
}

func TestGivesUpWhenItIsTold(t *testing.T) {
	l := testLab(t, Settings{})
	daemon := forwarder(t, nil, once) // nothing is ever delivered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p, err := l.flood(t.Context(), "flood", to(daemon.URL), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.settle(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestDrainingIsMeasuredByItsSlowestTenth(t *testing.T) {
	p := &phase{arrived: make([]atomic.Int64, 1000), fan: 1}
	at := int64(0)
	for i := range p.arrived {
		step := time.Millisecond
		if i >= 500 && i < 600 {
			step = 10 * time.Millisecond
		}
		at += int64(step)
		p.arrived[i].Store(at)
	}
	all, slowest := p.drainRates(0)
	if all < 500 || all > 560 || slowest < 100 || slowest > 112 {
		t.Errorf("got %s/s in all and %s/s in the slowest tenth, want about 526 and 100 to 112", strconv.Itoa(int(all)), strconv.Itoa(int(slowest)))
	}
}
