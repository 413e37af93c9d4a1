package host

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk"
)

// callers is how many requests are in flight when the frames come: their ids are 1 to callers.
const callers = 4

// pluginEnd is a plugin's end of a notifier's stream that waits for all requests, then sends frames, then ends the stream.
type pluginEnd struct {
	grpc.ClientStream // nil: nothing else of it is called
	frames            []*pluginv1.NotifyAnswers
	mu                sync.Mutex
	requests          int
	cancelled         int
	ready             func() // called when all requests have come; returns when what is to be cancelled is
	once              sync.Once
	all               chan struct{}
}

func (p *pluginEnd) Send(m *pluginv1.NotifyRequests) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests += len(m.GetRequests())
	p.cancelled += len(m.GetCancelled())
	if p.requests == callers {
		p.once.Do(func() { close(p.all) })
	}
	return nil
}

func (p *pluginEnd) Recv() (*pluginv1.NotifyAnswers, error) {
	<-p.all
	p.ready()
	if len(p.frames) == 0 {
		return nil, io.EOF
	}
	frame := p.frames[0]
	p.frames = p.frames[1:]
	return frame, nil
}

// FuzzAnswers gives the daemon whatever frames of answers: of requests that were never made, twice, of requests that were cancelled. Each request ends
// with its own answer, or with an error, and the stream leaves nothing in flight.
func FuzzAnswers(f *testing.F) {
	f.Fuzz(func(t *testing.T, first, second []byte, cancelled byte) {
		p := &pluginEnd{all: make(chan struct{})}
		answered := map[uint64]bool{}
		for _, raw := range [][]byte{first, second} {
			frame := new(pluginv1.NotifyAnswers)
			if proto.Unmarshal(raw, frame) != nil {
				continue // gRPC ends the stream
			}
			for _, a := range frame.GetAnswers() {
				answered[a.GetId()] = true
			}
			p.frames = append(p.frames, frame)
		}
		x := newExchange[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer](callers)
		var calls, leaving sync.WaitGroup
		var cancels []context.CancelFunc
		for range callers {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var id uint64
			leaves := cancelled&(1<<len(cancels)) != 0
			cancels = append(cancels, cancel)
			if leaves {
				leaving.Add(1)
			}
			calls.Go(func() {
				answer, err := x.call(ctx, func(given uint64) *pluginv1.NotifyRequest {
					id = given
					return &pluginv1.NotifyRequest{Id: id}
				})
				switch {
				case leaves:
					leaving.Done()
					if !errors.Is(err, context.Canceled) {
						t.Errorf("request %d was cancelled, and got %v, %v", id, answer, err)
					}
				case err == nil && answer.GetId() != id:
					t.Errorf("request %d got the answer of %d", id, answer.GetId())
				case (err == nil) != answered[id]:
					t.Errorf("request %d: answered %t, got %v", id, answered[id], err)
				case err == nil:
					checkOutcome(t, answer)
				case !errors.Is(err, ErrCrashed):
					t.Errorf("request %d: got %v, want ErrCrashed", id, err)
				}
			})
		}
		p.ready = sync.OnceFunc(func() {
			for i, cancel := range cancels {
				if cancelled&(1<<i) != 0 {
					cancel()
				}
			}
			leaving.Wait()
		})
		x.run(t.Context(), notifyStream(p))
		calls.Wait()
		if n := x.gate.count(); n != 0 || x.pending != nil {
			t.Errorf("%d requests are in flight after the end", n)
		}
		if _, err := x.call(t.Context(), func(id uint64) *pluginv1.NotifyRequest { return nil }); !errors.Is(err, ErrCrashed) {
			t.Errorf("a request after the end got %v, want ErrCrashed", err)
		}
	})
}

// checkOutcome checks what the daemon makes of an answer.
func checkOutcome(t *testing.T, a *pluginv1.NotifyAnswer) {
	if a.GetFailure() != nil {
		if errorFrom("fuzzed", a.GetFailure()).Error() == "" {
			t.Error("an error that says nothing")
		}
		return
	}
	outcome, err := outcomeFrom(a.GetOutcome())
	if err != nil {
		return
	}
	if outcome.Status < sdk.StatusDelivered || outcome.Status > sdk.StatusRejected {
		t.Errorf("got the status %v", outcome.Status)
	}
	given := a.GetOutcome().GetRetryAfterMs()
	if want := min(max(given, 0), time.Hour.Milliseconds()); outcome.RetryAfter.Milliseconds() != want {
		t.Errorf("%d ms became a Retry-After of %v, want %d ms", given, outcome.RetryAfter, want)
	}
}
