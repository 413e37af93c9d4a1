// Package dispatch is the engine between the queue and the plugins: it turns events into attempts, and attempts into what follows.
//
// Two handlers do the work. An event's (events.go) finds the webhook, has the payload resolved and makes the first attempts itself, where
// subscribers are few and their lanes healthy; every other delivery goes on as a message of its own, to the handler in
// deliveries.go. Both meet in flight.go, the one attempt of a delivery that is under way, and end in outcome.go, which
// alone decides what an outcome leads to: nothing, a retry, or a dead letter.
//
// The engine keeps nothing that a crash could take: what it knows of lanes is health and room, found out again after a start. It
// promises at most one attempt of a delivery at a time, and none that the log has already: simulation_test.go tries that on thousands of worlds in which
// everything fails.
package dispatch
