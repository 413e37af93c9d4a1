package bolt

import "slices"

// How much of a lane is in memory: windows share about windowTotal entries, a lane gets from windowMin to windowMax of them. To read on is to read what was
// only just added, too, which then costs its way into the trees and out again: with windows of 256, a busy lane took 3 % more of the daemon's CPU.
const (
	windowMax   = 1024
	windowMin   = 4
	windowTotal = 1 << 16
)

func (s *lanes) windowSize() int {
	return min(windowMax, max(windowMin, windowTotal/max(1, len(s.lanes))))
}

// place puts r into the window, unless it will be read from the file in its turn.
func (s *lanes) place(l *lane, r ref) {
	if l.more && r.compare(l.tail) > 0 {
		return
	}
	at, there := slices.BinarySearchFunc(l.window, r, ref.compare)
	if there {
		return
	}
	l.window = slices.Insert(l.window, at, r)
	if r.compare(l.tail) > 0 {
		l.tail = r
	}
	if size := s.windowSize(); len(l.window) > size {
		l.window = l.window[:size]
		l.tail = l.window[size-1]
		l.more = true
	}
}

// refill reads the next stretch of a lane.
func (s *lanes) refill(l *lane) error {
	for len(l.window) == 0 && l.more {
		size := s.windowSize()
		found, err := s.read(l.name, l.tail, size)
		if err != nil {
			return err
		}
		l.more = len(found) == size
		if len(found) == 0 {
			return nil
		}
		l.tail = found[len(found)-1]
		// What is in flight is in the file still.
		l.window = slices.DeleteFunc(found, func(r ref) bool { return s.claimed[r] != nil })
	}
	return nil
}
