// Package bolt is the embedded queue and store: everything that Postrider knows, in one bbolt file, beside which a journal lies while the daemon runs.
//
// [Open] gives a [DB], which is a [core.Queue] and, beside it, the store of events, attempts, dead letters and subscribers. Start
// reading at layout.go, which holds the whole file format; then committer.go, the one goroutine that writes; trees.go, what it writes to, and journal.go,
// which makes that durable; then lanes.go, which decides what is handed over next, and consume.go, which hands it over.
//
// A DB can also be the store alone, of a queue that is elsewhere: elsewhere.go.
//
// What it promises:
//
//   - Nothing is acknowledged before it is fsynced. What arrives while a group is made durable is made durable together, as the next one.
//   - A hand-over is done whole or not at all: log, successors, and the end of the consumed message.
//   - After a stop all is in the file, and there is no journal. After a crash the next start brings into the file what the journal has.
//   - Memory is bounded whatever the backlog: queues live in the file, a small window of each lane in memory.
//   - A full disk, or the reserve reached, refuses what is new and lets the hand-overs of what was accepted go on or wait. It loses
//     nothing. A failed fsync ends the DB: every call fails, and [DB.Failed] tells the daemon, which must end.
//   - Every record carries a CRC32C, because bbolt itself checks its meta pages alone.
//
// How fast it is with a backlog of a million events, and how much memory that takes:
//
//	POSTRIDER_BACKLOG=1000000 go test -run '^$' -bench Backlog -benchtime 1x ./core/bolt
package bolt
