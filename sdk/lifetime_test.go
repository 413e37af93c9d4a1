package sdk

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/proto/pluginv1"
)

func lasting(t *testing.T, d time.Duration) *lifetime {
	return &lifetime{stream: t.Context(), deadline: time.Now().Add(d)}
}

func TestARequestIsOverAtItsDeadlineWhoeverAsks(t *testing.T) {
	for name, over := range map[string]func(*lifetime) error{
		"who asks for its error":    func(l *lifetime) error { time.Sleep(time.Second); return l.Err() },
		"who waits":                 func(l *lifetime) error { <-l.Done(); return l.Err() },
		"who has waited, and waits": func(l *lifetime) error { <-l.Done(); <-l.Done(); return l.Err() },
		"who waits when it is over": func(l *lifetime) error { time.Sleep(time.Second); <-l.Done(); return l.Err() },
		"who is told": func(l *lifetime) error {
			told := make(chan error)
			l.AfterFunc(func() { told <- l.Err() })
			return <-told
		},
		"who is told when it's over": func(l *lifetime) error {
			<-l.Done()
			told := make(chan error)
			l.AfterFunc(func() { told <- l.Err() })
			return <-told
		},
		"who derives from it": func(l *lifetime) error {
			ctx, cancel := context.WithTimeout(&call{tracedContext: tracedContext{Context: l}}, time.Minute)
			defer cancel()
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				l := lasting(t, time.Second)
				if err := l.Err(); err != nil {
					t.Errorf("at once: %v", err)
				}
				if err := over(l); err != context.DeadlineExceeded {
					t.Errorf("got %v", err)
				}
				l.end(context.Canceled) // when it is answered
				if err := l.Err(); err != context.DeadlineExceeded {
					t.Errorf("afterwards: got %v", err)
				}
				if took := time.Since(began); took != time.Second {
					t.Errorf("it was over after %v", took)
				}
			})
		})
	}
}

func TestWhoIsToldOfTheEndOfARequestIsToldOnceAndMayChangeTheirMind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lasting(t, time.Second)
		told := make(chan string, 10)
		tell := func(who string) (stop func() bool) { return l.AfterFunc(func() { told <- who }) }
		stopA, stopB, stopC := tell("a"), tell("b"), tell("c")
		if !stopA() || stopA() || !stopC() {
			t.Error("those who changed their mind weren't heard")
		}
		l.end(context.Canceled)
		if stopB() {
			t.Error("b was stopped after it was told")
		}
		time.Sleep(time.Minute)
		if who := <-told; who != "b" || len(told) > 0 {
			t.Errorf("%s was told, and %d more", who, len(told))
		}
	})
}

// Also of those that come when it is over: the stream's reader may have read them before.
func TestAllRequestsOfAStreamEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream, cancel := context.WithCancel(t.Context())
		frames, ended := make(chan []*pluginv1.NotifyRequest), make(chan error, 2)
		x := &exchange[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer]{
			maxInFlight: 10,
			receive: func() ([]*pluginv1.NotifyRequest, []uint64, error) {
				if frame, ok := <-frames; ok {
					return frame, nil, nil
				}
				return nil, nil, errors.New("the stream is over")
			},
			send:    func([]*pluginv1.NotifyAnswer) error { return nil },
			size:    func(*pluginv1.NotifyAnswer) int { return 1 },
			name:    func(*pluginv1.NotifyRequest) string { return "Notify" },
			context: func(ctx context.Context, _ *pluginv1.NotifyRequest) context.Context { return ctx },
			work: func(ctx context.Context, _ *pluginv1.NotifyRequest) (*pluginv1.NotifyAnswer, error) {
				<-ctx.Done()
				ended <- ctx.Err()
				return &pluginv1.NotifyAnswer{}, nil
			},
		}
		over := make(chan error)
		go func() { over <- x.run(stream) }()
		frames <- []*pluginv1.NotifyRequest{{Id: 1}}
		synctest.Wait()
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("a request under way: got %v", err)
		}
		frames <- []*pluginv1.NotifyRequest{{Id: 2, RemainingMs: 1000}}
		if err := <-ended; err != context.Canceled {
			t.Errorf("a request that came afterwards: got %v", err)
		}
		close(frames)
		if err := <-over; err == nil {
			t.Error("no error")
		}
	})
}
