// Package coretest states in code what a queue and its store promise. Every implementation runs the same suites:
//
//	func TestQueue(t *testing.T) { coretest.TestQueue(t, place) }
//	func TestStore(t *testing.T) { coretest.TestStore(t, place) }
//
// A [Place] is where the data of one test lives: the suites open it, close it, let it crash at every point that it names, and open it
// again. crash.go is the reason for all of it: what crashes between a hand-over's steps must crash harmlessly.
package coretest
