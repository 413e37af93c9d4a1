package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk/internal/wire"
)

// request is what the requests of both streams have in common.
type request interface {
	GetId() uint64
	GetRemainingMs() int64
	GetTraceparent() string
}

// exchange answers the requests of one stream: each in a goroutine of its own, answers in whatever order they come. The fields say what
// differs between resolvers and notifiers.
type exchange[Q request, A any] struct {
	receive func() (requests []Q, cancelled []uint64, err error)
	send    func([]A) error
	size    func(A) int
	work    func(context.Context, Q) (A, error)      // the author's code
	name    func(Q) string                           // of the author's code, for errors
	context func(context.Context, Q) context.Context // of the request, from one that bounds its time
	failed  func(Q, *pluginv1.Failure) A

	maxInFlight int
	outbox      *wire.Outbox[A]
	idle        chan task[Q] // taken by goroutines that have nothing to do; no task: go home
	mu          sync.Mutex
	running     map[uint64]*lifetime
	over        bool // the stream is
}

// task is one request with its own context.
type task[Q any] struct {
	ctx     *lifetime
	request Q
}

// linger is how often goroutines without work are sent home. A new one for each request would spend a fifteenth of a busy plugin's time on growing its
// stack to what an HTTP request needs; one that waits with a timer of its own spent 2.5 % on that.
const linger = time.Second

// run returns when the stream has ended and everything that was in flight on it has been cancelled and has returned.
func (x *exchange[Q, A]) run(ctx context.Context) error {
	x.outbox = wire.NewOutbox[A]()
	x.idle = make(chan task[Q])
	x.running = make(map[uint64]*lifetime)
	ctx, cancel := context.WithCancel(ctx)
	var group, thinning sync.WaitGroup
	defer group.Wait()
	defer close(x.idle)
	defer thinning.Wait() // nobody is sent anything after that
	defer cancel()
	thinning.Go(func() { x.thin(ctx) })
	group.Go(func() {
		<-ctx.Done()
		x.cancelAll()
	})
	group.Go(func() {
		defer cancel()
		x.outbox.Run(ctx, x.size, x.send) //nolint:errcheck // when it can't send, nor can receive, which reports it
	})
	for {
		requests, cancelled, err := x.receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, q := range requests {
			if err := x.start(ctx, &group, q); err != nil {
				return err
			}
		}
		for _, id := range cancelled { // after the requests: a request and its cancellation may share a message
			x.cancel(id)
		}
	}
}

// start never blocks: it runs on the stream's reader. Its error ends the stream: of two requests with one id, no answer could be told apart.
func (x *exchange[Q, A]) start(stream context.Context, group *sync.WaitGroup, q Q) error {
	ctx := &lifetime{stream: stream, deadline: deadline(q)}
	x.mu.Lock()
	_, again := x.running[q.GetId()]
	full := len(x.running) >= x.maxInFlight
	if !again && !full {
		x.running[q.GetId()] = ctx
	}
	over := x.over
	x.mu.Unlock()
	switch {
	case again:
		return status.Errorf(codes.InvalidArgument, "%s: request %d is in flight already: each needs an id of its own", x.name(q), q.GetId())
	case full:
		x.outbox.Put(x.failed(q, &pluginv1.Failure{Message: fmt.Sprintf("%s: more than %d requests are in flight", x.name(q), x.maxInFlight)}))
		return nil
	case over:
		ctx.end(context.Canceled)
	}
	t := task[Q]{ctx, q}
	select {
	case x.idle <- t:
	default:
		group.Go(func() { x.serve(t) })
	}
	return nil
}

// serve does t, and then what else there is, until it is sent home.
func (x *exchange[Q, A]) serve(t task[Q]) {
	for t.ctx != nil {
		x.do(t)
		t = <-x.idle
	}
}

// thin sends home, now and then, all who have nothing to do at that moment, until ctx ends.
func (x *exchange[Q, A]) thin(ctx context.Context) {
	rounds := time.NewTicker(linger)
	defer rounds.Stop()
	for {
		select {
		case <-rounds.C:
			x.sendHome()
		case <-ctx.Done():
			return
		}
	}
}

func (x *exchange[Q, A]) sendHome() {
	for {
		select {
		case x.idle <- task[Q]{}:
		default:
			return
		}
	}
}

func (x *exchange[Q, A]) do(t task[Q]) {
	var answer A
	defer func() { // deferred, because runtime.Goexit runs nothing else
		x.finish(t.request.GetId()) // before the answer leaves: the daemon may send the next request after it
		x.outbox.Put(answer)
	}()
	x.answer(x.context(t.ctx, t.request), t.request, &answer)
}

// longest is the longest time that can be told, in milliseconds: 292 years.
const longest = math.MaxInt64 / int64(time.Millisecond)

// deadline returns when a request is over, by the time that the daemon gives it; zero: never.
func deadline(q request) time.Time {
	if remaining := q.GetRemainingMs(); remaining > 0 {
		return time.Now().Add(time.Duration(min(remaining, longest)) * time.Millisecond)
	}
	return time.Time{}
}

// cancel ends the context of a request. It goes on being in flight until it is answered.
func (x *exchange[Q, A]) cancel(id uint64) {
	x.mu.Lock()
	ctx := x.running[id]
	x.mu.Unlock()
	if ctx != nil {
		ctx.end(context.Canceled)
	}
}

// cancelAll ends the contexts of all requests, and of those that may still be read.
func (x *exchange[Q, A]) cancelAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	for _, ctx := range x.running {
		ctx.end(context.Canceled)
	}
}

func (x *exchange[Q, A]) finish(id uint64) {
	x.mu.Lock()
	ctx := x.running[id]
	delete(x.running, id)
	x.mu.Unlock()
	ctx.end(context.Canceled)
}

// answer runs the author's code and turns whatever it does into an answer: a panic, and even runtime.Goexit, cost one request only.
func (x *exchange[Q, A]) answer(ctx context.Context, q Q, answer *A) {
	returned := false
	defer func() {
		if cause := recover(); cause != nil {
			Logger(ctx).Error("panic in "+x.name(q), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			*answer = x.failed(q, failure(ctx, x.name(q), fmt.Errorf("panic: %v", cause)))
		} else if !returned {
			*answer = x.failed(q, failure(ctx, x.name(q), errors.New("ended its goroutine without an answer")))
		}
	}()
	result, err := x.work(ctx, q)
	returned = true
	if err != nil {
		result = x.failed(q, failure(ctx, x.name(q), err))
	}
	*answer = result
}

// maxReason bounds the sentences that cross to the daemon, in bytes.
const maxReason = 4 << 10

// failure says what kind of error err is, and names the code that it comes from.
func failure(ctx context.Context, name string, err error) *pluginv1.Failure {
	f := &pluginv1.Failure{Message: truncate(name+": "+err.Error(), maxReason)}
	var invalid *InvalidArgumentsError
	var permanent *permanentError
	var large *tooLargeError
	switch {
	case errors.As(err, &invalid):
		f.Kind = pluginv1.Failure_KIND_INVALID_ARGUMENTS
	case errors.As(err, &permanent):
		f.Kind = pluginv1.Failure_KIND_PERMANENT
	case errors.As(err, &large):
		f.Kind = pluginv1.Failure_KIND_TOO_LARGE
	case ctx.Err() != nil:
		f.Kind = pluginv1.Failure_KIND_CANCELLED
	}
	return f
}

// tooLargeError is the error of a payload over [MaxPayload].
type tooLargeError struct{ size int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("returned a payload of %d bytes: it may have %d", e.size, MaxPayload)
}
