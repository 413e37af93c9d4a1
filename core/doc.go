// Package core holds the words of Postrider and the seams between its parts.
//
// An application publishes an [Event]. Its [Webhook] names a service that turns the event's arguments into a payload, and every
// [Subscriber] of the event gets that payload as one [Delivery], tried as often as the schedule allows: each try is an [Attempt].
//
// One event on its way:
//
//	Publish(event) ─► Queue ─► Handler ─► Result{Log, Next} ─► Queue makes both durable, then forgets the event
//	                              │
//	                              └─ resolve, attempt inline or expand into delivery messages
//
// Start reading at [Queue], the seam that everything hangs on: it says what is durable when, and what a crash leaves behind. The
// store has no interface here: every package declares the few methods it needs where it uses them.
//
// The package imports the standard library only.
package core
