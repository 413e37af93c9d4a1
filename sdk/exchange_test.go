package sdk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/proto/pluginv1"
)

// daemonEnd is a daemon's end of a resolver's stream that sends frames, and ends the stream once it has as many answers as it sent requests.
type daemonEnd struct {
	grpc.ServerStream // nil: nothing else of it is called
	ctx               context.Context
	frames            []*pluginv1.ResolveRequests
	sent              func() // called when there are no more frames

	mu      sync.Mutex
	missing int
	answers map[uint64]int
	done    chan struct{} // closed when none is missing
}

func (d *daemonEnd) Context() context.Context { return d.ctx }

func (d *daemonEnd) Recv() (*pluginv1.ResolveRequests, error) {
	if len(d.frames) > 0 {
		frame := d.frames[0]
		d.frames = d.frames[1:]
		return frame, nil
	}
	d.sent()
	select {
	case <-d.done:
		return nil, io.EOF
	case <-d.ctx.Done():
		return nil, d.ctx.Err()
	}
}

func (d *daemonEnd) Send(m *pluginv1.ResolveAnswers) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range m.GetAnswers() {
		d.answers[a.GetId()]++
		if d.missing--; d.missing == 0 {
			close(d.done)
		}
	}
	return nil
}

// FuzzRequests gives a plugin whatever frames. It answers each request once, unless an id that is in flight comes again: then the stream ends with an
// error. Either way nothing of it goes on running, which run waits for.
func FuzzRequests(f *testing.F) {
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		sent := make(chan struct{})
		d := &daemonEnd{ctx: ctx, sent: sync.OnceFunc(func() { close(sent) }), answers: map[uint64]int{}, done: make(chan struct{})}
		asked, repeated := map[uint64]int{}, false
		for _, raw := range [][]byte{first, second, third} {
			frame := new(pluginv1.ResolveRequests)
			if proto.Unmarshal(raw, frame) != nil {
				continue // gRPC ends the stream
			}
			for _, q := range frame.GetRequests() {
				asked[q.GetId()]++
				repeated = repeated || asked[q.GetId()] > 1
				d.missing++
			}
			d.frames = append(d.frames, frame)
		}
		if d.missing == 0 {
			close(d.done)
		}
		err := resolverServer{server: fuzzed(t, sent)}.Resolve(d)
		if ctx.Err() != nil {
			t.Fatalf("%d answers are missing", d.missing)
		}
		if err != nil {
			if !repeated {
				t.Fatalf("the stream ended: %v", err)
			}
			return
		}
		if len(d.answers) > len(asked) {
			t.Errorf("asked %v, got %v", asked, d.answers)
		}
		for id, times := range asked {
			if d.answers[id] != times {
				t.Errorf("request %d was sent %d times, and answered %d times", id, times, d.answers[id])
			}
		}
	})
}

// fuzzed is a configured resolver whose services do what authors do. It takes three requests at a time.
func fuzzed(t *testing.T, sent <-chan struct{}) *server {
	t.Helper()
	plugin, err := NewResolver("fuzzed", "1", MaxInFlight(3),
		Method("A", "echo", func(_ context.Context, q struct {
			Text string `json:"text"`
		}) (string, error) {
			return q.Text, nil
		}),
		Method("A", "panic", func(context.Context, struct{}) (string, error) { panic("fuzzed") }),
		Method("A", "wait", func(ctx context.Context, _ struct{}) (string, error) {
			select {
			case <-sent: // so that what is not cancelled ends too
				return "", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{plugin: plugin, logger: slog.New(slog.DiscardHandler)}
	if r, err := s.Configure(t.Context(), new(pluginv1.ConfigureRequest)); err != nil || r.GetRefusal() != "" {
		t.Fatal(r.GetRefusal(), err)
	}
	return s
}

func TestAnIdThatIsInFlightAlreadyEndsTheStreamAndNotThePlugin(t *testing.T) {
	wait := func(id uint64) *pluginv1.ResolveRequest {
		return &pluginv1.ResolveRequest{Id: id, Class: "A", Method: "wait", Arguments: []byte(`{}`)}
	}
	d := &daemonEnd{
		ctx: t.Context(), sent: func() {}, missing: 3, answers: map[uint64]int{}, done: make(chan struct{}),
		frames: []*pluginv1.ResolveRequests{{Requests: []*pluginv1.ResolveRequest{wait(1), wait(2), wait(1)}}},
	}
	err := resolverServer{server: fuzzed(t, make(chan struct{}))}.Resolve(d)
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v, want an error that says so", err)
	}
}

func TestTheLongestRemainingTimeIsNotOver(t *testing.T) {
	ctx := lifetime{stream: t.Context(), deadline: deadline(&pluginv1.ResolveRequest{RemainingMs: math.MaxInt64})}
	if err := ctx.Err(); err != nil {
		t.Errorf("got %v at once", err)
	}
}
