// Package rabbitmq is the queue on RabbitMQ: the same [core.Queue] as the embedded one, on a broker that may be a shop's own.
//
// [Open] gives a [Queue]. Start reading at topology.go, which says what lies on the broker; then message.go, what a message looks like
// there; then handover.go, for which all the rest exists.
//
// An event from a publisher:
//
//	HTTP: Publish ── the store has no such id ──► webhook.event, confirmed ──► the store knows it ──► 202
//	AMQP: exchange magento ──► webhook.trigger                   (the broker has confirmed it to the shop)
//
// and from the broker on:
//
//	webhook.trigger ┐
//	webhook.event   ├► window, lane ──► Handler ──► store: log ──► successors, confirmed ──► ack
//	webhook.delivery┘   ▲   ▲   └─ no room ──► webhook.….waiting ─┐
//	                    │   └───────── in its turn ◄──────────────┘
//	                    └── webhook.delay.<ms> ◄── failed, due later, or there is room soon
//
// What a crash leaves at each point, and why it harms nobody:
//
//   - Before the broker has confirmed a publish, or after that but before the store knows the event: the publisher has no answer, and publishes
//     again. There may be two messages then. The second finds the first in the log and is dropped where it is consumed.
//   - Before the log is durable: the broker delivers the message again, and its attempt is made again.
//   - After the log, before the successors are confirmed: the broker delivers again, the Handler finds the attempt in the log and computes the same
//     successors.
//   - After the successors are confirmed, before the ack: as before, but a successor may be there twice. The second finds the attempt of
//     the first in the log, and is not attempted.
//   - After what leaves is confirmed, before the ack: two messages again.
//
// Because two messages of one kind are possible at any time, none is ever called Fresh, and all of one event, or of one delivery, are in one hand
// at a time: see keys.go.
//
// One [Queue] consumes from a topology at a time: an exclusive queue, webhook.lock, is held as long as it is connected.
package rabbitmq
