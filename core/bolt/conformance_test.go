package bolt

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/core/coretest"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// place is a file in a directory of its own.
type place struct{ path string }

func newPlace(t *testing.T) coretest.Place { return place{filepath.Join(t.TempDir(), "postrider.db")} }

func (p place) open(t *testing.T, h hooks) *DB {
	t.Helper()
	db, err := Open(Config{Path: p.path, DrainTimeout: coretest.DrainDeadline, hooks: h, checkpoint: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db.Close() //nolint:errcheck // the test has closed it, or failed
	})
	return db
}

func (p place) Open(t *testing.T) coretest.Backend { return p.open(t, hooks{}) }

func (p place) Damage(t *testing.T, mark string) { coretest.Flip(t, p.path, mark) }

const (
	beforeCommit = "before the commit"
	afterCommit  = "after the commit, before anybody knows"
)

func (p place) CrashPoints() []string { return []string{beforeCommit, afterCommit} }

func (p place) OpenCrashing(t *testing.T, point string) (coretest.Backend, func()) {
	var armed atomic.Bool
	crash := func(here string) func() error {
		return func() error {
			if here == point && armed.Load() {
				return errors.New("crashed by the test")
			}
			return nil
		}
	}
	db := p.open(t, hooks{beforeCommit: crash(beforeCommit), afterCommit: crash(afterCommit)})
	return db, func() { armed.Store(true) }
}

func TestQueue(t *testing.T) { coretest.TestQueue(t, newPlace) }
func TestStore(t *testing.T) { coretest.TestStore(t, newPlace) }

func TestQueueModel(t *testing.T) {
	coretest.TestQueueModel(t, newPlace, coretest.ModelTest{Checks: 50, Steps: 40, OneStep: true})
}
