package sdk

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/proto/pluginv1"
)

func TestGoroutinesWithoutWorkAreSentHomeAndTheirStreamEndsBeforeToo(t *testing.T) {
	const together = 5
	synctest.Test(t, func(t *testing.T) {
		frames, release := make(chan []*pluginv1.NotifyRequest), make(chan struct{})
		x := &exchange[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer]{
			maxInFlight: together,
			receive: func() ([]*pluginv1.NotifyRequest, []uint64, error) {
				if frame, ok := <-frames; ok {
					return frame, nil, nil
				}
				return nil, nil, io.EOF
			},
			send:    func([]*pluginv1.NotifyAnswer) error { return nil },
			size:    func(*pluginv1.NotifyAnswer) int { return 1 },
			name:    func(*pluginv1.NotifyRequest) string { return "Notify" },
			context: func(ctx context.Context, _ *pluginv1.NotifyRequest) context.Context { return ctx },
			work: func(context.Context, *pluginv1.NotifyRequest) (*pluginv1.NotifyAnswer, error) {
				<-release
				return &pluginv1.NotifyAnswer{}, nil
			},
		}
		ended := make(chan error)
		go func() { ended <- x.run(t.Context()) }()
		work := func() {
			frame := make([]*pluginv1.NotifyRequest, together)
			for i := range frame {
				frame[i] = &pluginv1.NotifyRequest{Id: uint64(i)}
			}
			frames <- frame
			synctest.Wait()
			for range together {
				release <- struct{}{}
			}
			synctest.Wait()
		}
		idle := func() (n int) { // sends them home to count them
			for {
				select {
				case x.idle <- task[*pluginv1.NotifyRequest]{}:
					n++
				default:
					return n
				}
			}
		}
		work()
		work()
		if n := idle(); n != together {
			t.Errorf("%d goroutines are kept after twice %d requests at once", n, together)
		}
		work()
		time.Sleep(linger)
		synctest.Wait()
		if n := idle(); n != 0 {
			t.Errorf("%d goroutines are kept after %s without work", n, linger)
		}
		work()
		close(frames)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
