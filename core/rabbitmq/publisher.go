package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// publishWindow is how many messages wait for their confirm at a time. The buffer for returned messages is as large: the library drops a return that
	// finds no room, and a message whose return was dropped looks like one that arrived.
	publishWindow = 4096

	// confirmPatience is how long the broker may take to confirm before the connection counts as dead. It runs only while publishing is not blocked.
	confirmPatience = 10 * time.Second
)

// posting is one message on its way to the broker.
type posting struct {
	exchange, key string
	message       amqp.Publishing
	confirmation  *amqp.DeferredConfirmation
}

// publisher publishes on one channel: one goroutine writes, and whoever waits for the confirm of a message waits for that alone.
type publisher struct {
	link    *link
	channel *amqp.Channel
	queue   chan *mailing
	room    chan struct{} // holds one for each unconfirmed message
	writing sync.WaitGroup
	number  uint64 // of the last message; only the writer has it

	returnsMu sync.Mutex
	returns   chan amqp.Return
	returned  map[string]amqp.Return // by message number, not asked for yet
}

// mailing is some messages that are written one after the other.
type mailing struct {
	postings []*posting
	written  chan struct{} // closed once all are written, or the writer gave up
	err      error         // read after written
}

func newPublisher(l *link, connection *amqp.Connection) (*publisher, error) {
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	if err := channel.Confirm(false); err != nil {
		return nil, err
	}
	p := &publisher{
		link: l, channel: channel, queue: make(chan *mailing), room: make(chan struct{}, publishWindow),
		returns: channel.NotifyReturn(make(chan amqp.Return, publishWindow)), returned: map[string]amqp.Return{},
	}
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	l.watching.Go(func() {
		if err := <-closed; err != nil {
			l.end(fmt.Errorf("the broker closed the channel that publishes: %w", err))
		}
	})
	p.writing.Go(p.write)
	return p, nil
}

// wait returns when the writer has ended, which it does after its link.
func (p *publisher) wait() {
	if p != nil {
		p.writing.Wait()
	}
}

// write is the one goroutine that writes to the channel.
func (p *publisher) write() {
	for {
		select {
		case <-p.link.done:
			return
		case m := <-p.queue:
			m.err = p.writeAll(m.postings)
			close(m.written)
		}
	}
}

func (p *publisher) writeAll(postings []*posting) error {
	for _, o := range postings {
		select {
		case p.room <- struct{}{}:
		case <-p.link.done:
			return errGone
		}
		p.number++
		o.message.CorrelationId = strconv.FormatUint(p.number, 10)
		var err error
		o.confirmation, err = p.channel.PublishWithDeferredConfirm(o.exchange, o.key, true, false, o.message)
		if err != nil {
			<-p.room
			p.link.end(fmt.Errorf("publish: %w", err))
			return errGone
		}
	}
	return nil
}

var (
	errGone     = errors.New("the connection to the broker was lost")
	errRejected = errors.New("the broker rejected a message")
	errBlocked  = errors.New("the broker takes no messages now")
)

// publish returns nil once the broker has confirmed all postings. With errGone or errBlocked, or an error of ctx, the broker may have any of them.
// With errRejected it has not those that failed, which are returned.
//
// patient says to sit out a broker that takes no messages for a while; otherwise that is an error at once.
func (p *publisher) publish(ctx context.Context, patient bool, postings ...*posting) (rejected []*posting, err error) {
	if len(postings) == 0 {
		return nil, nil
	}
	m := &mailing{postings: postings, written: make(chan struct{})}
	select {
	case p.queue <- m:
	case <-p.link.done:
		return nil, errGone
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	confirmed := make(chan struct{})
	go func() { // the room is given back however long the caller waits
		defer close(confirmed)
		<-m.written
		for _, o := range postings {
			if o.confirmation != nil {
				<-o.confirmation.Done() // at the latest when the connection is gone
				<-p.room
			}
		}
	}()
	if err := p.await(ctx, patient, confirmed); err != nil {
		return nil, err
	}
	if m.err != nil {
		return nil, m.err
	}
	for _, o := range postings {
		switch returned, ok := p.returnOf(o); {
		case ok:
			p.link.end(fmt.Errorf("queue %s is missing: exchange %q had nowhere to lead a message for it (%s)", o.key, o.exchange, returned.ReplyText))
			return nil, errGone
		case o.confirmation.Acked():
		case p.link.hasEnded():
			return nil, errGone
		default:
			rejected = append(rejected, o)
		}
	}
	if len(rejected) > 0 {
		return rejected, errRejected
	}
	return nil, nil
}

// await waits for confirmed, as long as there is hope.
func (p *publisher) await(ctx context.Context, patient bool, confirmed <-chan struct{}) error {
	deadline := time.NewTimer(confirmPatience)
	defer deadline.Stop()
	for {
		blocked, changed := p.link.blocking()
		if blocked != "" && !patient {
			return errBlocked
		}
		select {
		case <-confirmed:
			return nil
		case <-p.link.done:
			return errGone
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			deadline.Reset(confirmPatience)
		case <-deadline.C:
			if blocked != "" {
				deadline.Reset(confirmPatience)
				continue
			}
			p.link.end(fmt.Errorf("the broker did not confirm a message within %v", confirmPatience))
			return errGone
		}
	}
}

// returnOf reports whether the broker returned o because no queue was there for it. It sends the return before the confirm.
func (p *publisher) returnOf(o *posting) (amqp.Return, bool) {
	p.returnsMu.Lock()
	defer p.returnsMu.Unlock()
	for {
		select {
		case r, ok := <-p.returns:
			if ok {
				p.returned[r.CorrelationId] = r
				continue
			}
		default:
		}
		break
	}
	r, ok := p.returned[o.message.CorrelationId]
	delete(p.returned, o.message.CorrelationId)
	return r, ok
}
