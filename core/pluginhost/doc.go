// Package pluginhost runs the plugins: it decides which files to trust, which process serves whom, and what happens when one fails.
// How one process is launched and spoken to is sdk/host's; here is policy alone.
//
// Start reading at [Host]. Its parts, from the outside in:
//
//	host.go       New, Run, Close, and what an operator may ask; process.go is what it needs of one process
//	scan.go       which files of the plugin directory are trusted; sums.go has the list of those that the operator trusts
//	binary.go     a file that was opened, and is what runs from then on
//	plan.go       which processes the described plugins and the configuration ask for, and what clashes
//	start.go      launch all in parallel, describe, plan, configure; a configuration may bring a resolver's services
//	watch.go      what has changed in the plugin directory; reload.go takes it over, swap.go puts one process into another's place
//	table.go      who serves which service and which notifier: an immutable snapshot, swapped when something changes
//	worker.go     one plugin process, replaced when it dies; state.go is what operators are told of it
//	supervise.go  crash, restart with backoff (pace.go), crash loop, stuck
//	call.go       resolve and notify; send.go is what becomes of a request when its process dies
//	gate.go       who may send a request now; waiting for room without holding a goroutine
//	suspects.go   requests that were in flight when their process crashed; quarantine.go has the processes that those run in
//	check.go      arguments, settings and recipient URLs, refused before anything is queued
//	limits.go     users, memory and files of processes; meter.go counts and times requests; secrets.go keeps secrets out of what plugins say
//	convert.go    domain ↔ SDK, nowhere else
//
// Locks: reloading before mu before those of workers and gates. No function of a caller is called with one held.
//
// What it promises to those who call [Host.Resolve] and [Host.Notify]: a plugin that is down is nobody's fault but ours. While it is down, and
// for what was in flight when it went down, the answer is a [core.Held] that wakes its holder once the plugin runs again. A request that was in
// flight at a crash is a suspect. It never runs in the worker's own process again, so all others go on as soon as that is restarted, but in a
// second process for suspects. If that crashes, what was in flight there runs in a third one, with nothing else in flight; and what has crashed
// that three times fails with [core.ErrPermanent]. Suspects that get an answer are none any more.
package pluginhost
