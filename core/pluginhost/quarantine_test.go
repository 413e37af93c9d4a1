package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/host"
)

// crashable is a Host with one notifier, and all processes of it that were started.
type crashable struct {
	*Host
	mu      sync.Mutex
	started []*fake
}

// runCrashable runs a Host with the notifier "web", whose deliveries do as notify says, in the process p.
func runCrashable(t *testing.T, notify func(ctx context.Context, p *fake, d sdk.Delivery) error) *crashable {
	t.Helper()
	c := &crashable{}
	c.Host, _ = newFakeHost(t, Config{}, map[string]func() (*fake, error){"web": func() (*fake, error) {
		f := &fake{describes: notifier("web")}
		f.notify = func(ctx context.Context, d sdk.Delivery) (sdk.Outcome, error) {
			return sdk.Delivered(), notify(ctx, f, d)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.started = append(c.started, f)
		return f, nil
	}})
	running(t, c.Host)
	return c
}

// process returns the one that was started as the n-th, from 1.
func (c *crashable) process(n int) *fake {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started[n-1]
}

// send makes a delivery, and waits until nothing moves any more.
func (c *crashable) send(ctx context.Context, id string) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := c.Notify(ctx, to("web", id))
		result <- err
	}()
	synctest.Wait()
	return result
}

// rows are what an operator sees: how the configuration and the state of each process are called.
func (c *crashable) rows() (rows []string) {
	synctest.Wait()
	for _, s := range c.Plugins() {
		rows = append(rows, fmt.Sprintf("%s:%s:%d", s.Config, s.State, s.InFlight))
	}
	return rows
}

func TestWhatWasInFlightAtACrashIsSentToAnotherProcessAndTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		h := runCrashable(t, func(ctx context.Context, p *fake, d sdk.Delivery) error {
			if d.ID == "dlv_healthy" {
				return nil
			}
			return p.lives(ctx, answer)
		})
		first, second := h.send(t.Context(), "dlv_1"), h.send(t.Context(), "dlv_2")
		h.process(1).Kill()
		one, two := awake(mustBeHeld(t, <-first)), awake(mustBeHeld(t, <-second))
		synctest.Wait()
		if !isClosed(one) || !isClosed(two) {
			t.Error("not awake though there is a process for suspects")
		}
		first, second = h.send(t.Context(), "dlv_1"), h.send(t.Context(), "dlv_2")
		time.Sleep(firstDelay)
		if got, want := fmt.Sprint(h.rows()), "[:running:0 quarantine:running:2]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if err := <-h.send(t.Context(), "dlv_healthy"); err != nil {
			t.Errorf("another delivery while suspects are in flight: %v", err)
		}
		close(answer)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		if got := h.table.Load().notifiers["web"].by.suspects.count.Load(); got != 0 {
			t.Errorf("got %d suspects, want none: they were answered", got)
		}
	})
}

func TestWhatWasInFlightWhenTheSuspectsProcessCrashedIsSentAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := runCrashable(t, func(ctx context.Context, p *fake, d sdk.Delivery) error {
			answer := make(chan struct{})
			defer time.AfterFunc(20*time.Second, func() { close(answer) }).Stop()
			return p.lives(ctx, answer)
		})
		for n := range 2 {
			first, second := h.send(t.Context(), "dlv_1"), h.send(t.Context(), "dlv_2")
			h.process(n + 1).Kill() // the process of all, then that of the suspects
			<-awake(mustBeHeld(t, <-first))
			<-awake(mustBeHeld(t, <-second))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		started := time.Now()
		first, second := h.send(ctx, "dlv_1"), h.send(ctx, "dlv_2") // 20 s until that one's turn, and 20 s of its own
		time.Sleep(time.Second)
		if got, want := fmt.Sprint(h.rows()), "[:running:0 quarantine:running:0 quarantine, alone:running:1]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		if got := time.Since(started); got != 40*time.Second {
			t.Errorf("took %v, want 40s: the wait for its turn is not taken off its deadline", got)
		}
	})
}

func TestWhatCrashesThePluginThreeTimesWhileAloneCanNeverWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crashes atomic.Int32
		h := runCrashable(t, func(_ context.Context, p *fake, d sdk.Delivery) error {
			if d.ID == "dlv_poison" {
				crashes.Add(1)
				p.Kill()
				return host.ErrCrashed
			}
			return nil
		})
		for {
			err := <-h.send(t.Context(), "dlv_poison")
			if !errors.Is(err, core.ErrPermanent) {
				<-awake(mustBeHeld(t, err))
				continue
			}
			if got, want := fmt.Sprint(err), "then replay it"; !strings.HasSuffix(got, want) { // a dead letter's reason
				t.Errorf("got %q, want it to end with what to do, %q", got, want)
			}
			break
		}
		if got := crashes.Load(); got != 5 {
			t.Errorf("got %d crashes, want 5: one with all, one with other suspects, three alone", got)
		}
		time.Sleep(time.Second)
		if got := status(t, h.Host, "web"); got.Restarts != 1 || got.State != stateRunning {
			t.Errorf("got %+v, want it running, restarted once: what suspects do is not counted against it", got)
		}
		if err := <-h.send(t.Context(), "dlv_other"); err != nil {
			t.Errorf("another delivery: %v", err)
		}
	})
}

func TestAProcessForSuspectsEndsWhenNoneComesForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		h := runCrashable(t, func(ctx context.Context, p *fake, d sdk.Delivery) error { return p.lives(ctx, answer) })
		for round := range 2 { // it is started again when the next comes
			lost := h.send(t.Context(), "dlv_1")
			h.process(1 + 2*round).Kill()
			<-awake(mustBeHeld(t, <-lost))
			again := h.send(t.Context(), "dlv_1")
			time.Sleep(2 * time.Minute) // in flight: not idle
			if got, want := fmt.Sprint(h.rows()), "[:running:0 quarantine:running:1]"; got != want {
				t.Fatalf("round %d: got %s, want %s", round, got, want)
			}
			close(answer)
			if err := <-again; err != nil {
				t.Error(err)
			}
			answer = make(chan struct{})
			time.Sleep(idleEnd + 5*time.Second) // it is noticed with a health check
			if got, want := fmt.Sprint(h.rows()), "[:running:0]"; got != want {
				t.Errorf("round %d: got %s, want %s", round, got, want)
			}
			if !isClosed(h.process(2 + 2*round).done) {
				t.Error("the process was left behind")
			}
		}
	})
}

func TestASuspectThatWaitsForItsTurnGivesUpWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		h := runCrashable(t, func(ctx context.Context, p *fake, d sdk.Delivery) error { return p.lives(ctx, answer) })
		for n := range 2 {
			first, second := h.send(t.Context(), "dlv_1"), h.send(t.Context(), "dlv_2")
			h.process(n + 1).Kill()
			<-awake(mustBeHeld(t, <-first))
			<-awake(mustBeHeld(t, <-second))
		}
		first := h.send(t.Context(), "dlv_1")
		ctx, cancel := context.WithCancel(t.Context())
		second := h.send(ctx, "dlv_2")
		cancel()
		mustBeHeld(t, <-second)
		close(answer)
		if err := errors.Join(<-first, <-h.send(t.Context(), "dlv_2")); err != nil {
			t.Error(err)
		}
	})
}
