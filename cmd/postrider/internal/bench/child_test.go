package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain makes this program the process that publishes, where it is started as that: tests have a real one.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{PublisherCommand}) {
		if err := ServePublisher(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector has each of them end a second late
	os.Exit(m.Run())
}

func thisProgram(t *testing.T) string {
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTheTimesOfBothProcessesAreComparable(t *testing.T) {
	l := testLab(t, Settings{})
	raw := to(l.receiver.add(1)[0].url)
	raw.to.Accepted = http.StatusOK
	const perSecond = 500
	for name, drive := range map[string]func() (*phase, error){
		"flood": func() (*phase, error) { return l.flood(t.Context(), "flood", raw, 200) },
		"pace":  func() (*phase, error) { return l.pace(t.Context(), "pace", raw, perSecond, 200*time.Millisecond) },
	} {
		before := now()
		p, err := drive()
		if err != nil {
			t.Fatal(err)
		}
		after := now()
		if p.began < before || p.began+int64(p.sending) > after {
			t.Errorf("%s: it was published from %d on for %s; it was told to at %d, and had done it at %d", name, p.began, p.sending, before, after)
		}
		if len(p.sent) != p.events || p.accepted.Load() != int64(p.events) {
			t.Fatalf("%s: got the times of %d events, %d accepted, want %d", name, len(p.sent), p.accepted.Load(), p.events)
		}
		for i, sent := range p.sent {
			if arrived := p.arrived[i].Load(); sent < p.began || arrived <= sent || arrived > after {
				t.Fatalf("%s: event %d was sent at %d and arrived at %d, between %d and %d", name, i, sent, arrived, p.began, after)
			}
			if meant := p.began + int64(i)*int64(time.Second/perSecond); name == "pace" && sent != meant {
				t.Fatalf("event %d counts from %d, want when it was meant to be sent, %d", i, sent, meant)
			}
		}
	}
}

func TestWhatIsPublishedIsWhatWasTold(t *testing.T) {
	l := testLab(t, Settings{})
	var mu sync.Mutex
	got := map[int]string{} // event → its webhook
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		_, event, _ := eventNumber(body)
		mu.Lock()
		defer mu.Unlock()
		got[event] = string(body[len(`{"event":"`):][:1])
		if request.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer daemon.Close()
	order := func() (webhooks string) {
		for n := range len(got) {
			webhooks += got[n]
		}
		clear(got)
		return webhooks
	}
	events := to(daemon.URL)
	events.to.Token = "secret"
	for _, test := range []struct {
		mix  mix
		want string
	}{
		{mix{Bodies: []template{eventBody("a", 64, 1), eventBody("b", 64, 1), eventBody("c", 64, 1)}}, "abcabcabcabc"},
		{mix{Bodies: []template{eventBody("a", 64, 1), eventBody("b", 64, 1)}, Share: 0.25}, "aaabaaabaaab"},
	} {
		events.mix = test.mix
		if _, err := l.flood(t.Context(), "flood", events, 12); err != nil {
			t.Fatal(err)
		}
		if webhooks := order(); webhooks != test.want {
			t.Errorf("flood: got events of %s, want %s", webhooks, test.want)
		}
		if _, err := l.pace(t.Context(), "pace", events, 1000, 12*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if webhooks := order(); webhooks != test.want {
			t.Errorf("pace: got events of %s, want %s", webhooks, test.want)
		}
	}
}

func TestJobsAreDoneOneAtATime(t *testing.T) {
	l := testLab(t, Settings{})
	const jobs, events = 2, 500
	phases := make(chan int, jobs*events)
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		phase, _, _ := eventNumber(body)
		phases <- phase
		w.WriteHeader(http.StatusAccepted)
	}))
	defer daemon.Close()
	all := to(daemon.URL)
	for phase := range jobs {
		if err := l.publishers.jobs.Encode(job{To: all.to, Mix: all.mix, Phase: phase, Events: events, Publishers: 4}); err != nil {
			t.Fatal(err)
		}
	}
	for ended := 0; ended < jobs; {
		var n news
		if err := l.publishers.news.Decode(&n); err != nil || n.Error != "" {
			t.Fatalf("got %+v (%v)", n, err)
		}
		if n.Ended {
			ended++
		}
	}
	for i := range jobs * events {
		if phase := <-phases; phase != i/events {
			t.Fatalf("publish %d is one of job %d, want of job %d", i, phase, i/events)
		}
	}
}

// silent is a daemon that never answers, and says when it was asked.
func silent(t *testing.T) (url string, asked chan struct{}) {
	asked, over := make(chan struct{}, 100), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	t.Cleanup(func() {
		close(over)
		s.Close()
	})
	return s.URL, asked
}

func TestPublishingThatIsCancelledEndsTheProcess(t *testing.T) {
	url, asked := silent(t)
	l := testLab(t, Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := l.flood(ctx, "flood", to(url), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	_ = l.publishers.ended() // nothing else has told it to end
	if state := l.publishers.command.ProcessState; state == nil || !state.Success() {
		t.Errorf("the process that publishes did not end by itself: %v", state)
	}
}

func TestTheProcessThatPublishesLeavesItToTheOtherToHearSignals(t *testing.T) {
	l := testLab(t, Settings{})
	var once sync.Once
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() {
			for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
				if err := l.publishers.command.Process.Signal(signal); err != nil {
					t.Error(err)
				}
			}
		})
		w.WriteHeader(http.StatusAccepted)
	}))
	defer daemon.Close()
	if _, err := l.flood(t.Context(), "flood", to(daemon.URL), 100); err != nil {
		t.Errorf("it was interrupted: %v", err)
	}
}

func TestSaysThatTheProcessThatPublishesDied(t *testing.T) {
	url, asked := silent(t)
	l, err := newLab("test", Settings{Executable: thisProgram(t)})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		_ = l.publishers.command.Process.Kill()
	}()
	if _, err := l.flood(t.Context(), "flood", to(url), 10); err == nil || !strings.Contains(err.Error(), "the process that publishes is gone") {
		t.Errorf("got %v", err)
	}
	if err := l.close(); err == nil || !strings.Contains(err.Error(), "the process that publishes ended: signal: killed") {
		t.Errorf("close: got %v, want how it ended", err)
	}
}
