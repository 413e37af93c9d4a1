package rabbitmq

import (
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A message whose lane has stopped, and for which neither the window has a place nor the lane will have any soon, goes to the end of a waiting queue:
// webhook.event.waiting, or webhook.delivery.waiting. What is at its front comes back: at once while the window has places to give, else at a pace, to see whether
// its lane goes on.
//
// So a long backlog costs the broker no more than a short one. Before, it waited in the delay queues until about the time when there would be room, a minute
// at most. 50,000 that left within 5 s came back within 5 s, as fast as two cores can, over and over (p99 of a healthy neighbour 44 ms, for 1.8 ms without
// them); and a million would have had the broker do nothing else. Now it is 7 ms (postrider bench --scenario piled-up --queue …).
const (
	recallPace = 5 * time.Millisecond // between two

	// recallReward is how many may come back without a pause for each one whose lane goes on: one whose messages are among those of another that has stopped
	// gets them at full speed where it has half of them, at 25/s where it has a tenth.
	recallReward = 2
)

// recall takes in what comes back from the waiting queue.
func (c *consumer) recall(s *source) {
	ahead := make(chan amqp.Delivery, c.window.size)
	go func() {
		defer close(ahead)
		for d := range s.deliveries {
			c.window.returning.Add(1)
			ahead <- d // there is room: the broker delivers no more before some are acknowledged
		}
		s.ended()
	}()
	next := time.NewTimer(recallPace)
	defer next.Stop()
	for d := range ahead {
		if c.window.isHalfFull() && !c.window.spend() {
			next.Reset(recallPace)
			select {
			case <-next.C:
			case <-s.done:
			case <-c.intake.Done():
			}
		}
		c.window.returning.Add(-1)
		c.receive(s, &d)
	}
}

// inTurn sends a message to the end of the waiting queue.
func (c *consumer) inTurn(e envelope, _ time.Time) *posting {
	e.due, e.left = time.Time{}, 0
	return &posting{key: c.target + waitingSuffix, message: encode(&e)}
}
