package dispatch

import (
	"sync"

	"github.com/postrider/postrider/core"
)

// flight is the one attempt of a delivery that is under way. An event that has waited long enough for it goes on without it, and leaves a
// delivery message behind, whose handler joins the flight instead of making the same attempt again.
type flight struct {
	key    flightKey
	work   work          // what it attempts: of whoever boarded first, and nobody else's to read
	landed chan struct{} // closed when result and err are there
	result core.Result
	err    error // the attempt was not made
}

func (f *flight) land(result core.Result, err error) {
	f.result, f.err = result, err
	close(f.landed)
}

func (f *flight) hasLanded() bool {
	select {
	case <-f.landed:
		return true
	default:
		return false
	}
}

type flightKey struct {
	event      core.EventID
	subscriber core.SubscriberID
}

// flights holds the flights that are under way, or landed but not asked for yet.
type flights struct {
	mu    sync.Mutex
	byKey map[flightKey]*flight
}

// join returns the flight of key, or nil.
func (fs *flights) join(key flightKey) *flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byKey[key]
}

// board returns the flight of key. Where there is none it makes one, and isNew is true: the caller must give it work, and land it.
func (fs *flights) board(key flightKey) (f *flight, isNew bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.byKey[key]; ok {
		return f, false
	}
	if fs.byKey == nil {
		fs.byKey = make(map[flightKey]*flight)
	}
	f = &flight{key: key, landed: make(chan struct{})}
	fs.byKey[key] = f
	return f, true
}

// forget ends a flight that has landed and whose result is in good hands.
func (fs *flights) forget(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byKey[f.key] == f {
		delete(fs.byKey, f.key)
	}
}
