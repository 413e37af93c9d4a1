//go:build linux

package endtoend

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
	"github.com/postrider/postrider/core/coretest/faultfs"
)

// onFaultyDisk gives the installation a data directory on a disk that can fail. It is mounted anew after each failure.
type onFaultyDisk struct {
	*installation
	*faultfs.FS
	random *rand.Rand
}

func installOnFaultyDisk(t *testing.T, extra ...string) *onFaultyDisk {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	in := &onFaultyDisk{installation: install(t, extra...), random: rand.New(rand.NewPCG(seed, 0))}
	for _, dir := range []string{"disk", "data"} {
		if err := os.Mkdir(filepath.Join(in.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	in.mount()
	t.Cleanup(func() { in.Unmount() }) //nolint:errcheck // the test has done it, or failed
	return in
}

func (in *onFaultyDisk) mount() {
	in.t.Helper()
	f, err := faultfs.Mount(filepath.Join(in.dir, "disk"), filepath.Join(in.dir, "data"))
	if errors.Is(err, os.ErrPermission) {
		chaos.Missing(in.t, err)
	}
	if err != nil {
		in.t.Fatal(err)
	}
	in.FS = f
}

// remount takes from the disk what was not synced, and mounts it again. The daemon must have ended.
func (in *onFaultyDisk) remount() {
	in.t.Helper()
	var err error
	eventually(in.t, "nobody uses the disk any more", func() bool { err = in.Unmount(); return err == nil }) // plugins end after their daemon
	if err := in.Lose(in.random); err != nil {
		in.t.Fatal(err)
	}
	in.mount()
}

func TestNothingIsLostWhenThePowerFails(t *testing.T) {
	cuts := chaos.Setting(t, "POSTRIDER_CUTS", 40) / 10 // each takes ten times as long as one of core/bolt
	in := installOnFaultyDisk(t)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	b := &burst{oracle: newOracle(), total: 2000 * cuts}
	b.target.Store(d)
	wait := b.run(t)
	for range cuts {
		before := b.accepted.Load()
		eventually(t, "the burst goes on", func() bool { return b.accepted.Load() > before+100 || b.accepted.Load() == int64(b.total) })
		in.CutAfter(in.random.IntN(500)) // well within what a burst writes
		select {
		case <-in.Dark():
		case <-time.After(patience):
			t.Fatal("the daemon writes nothing")
		}
		d.kill()
		b.oracle.crashed()
		in.remount()
		d = in.serve()
		b.target.Store(d)
	}
	wait()
	row := b.oracle.audit(t, d, r)
	row.Faults = plural(cuts, "power cut") + " under the daemon's data directory, unsynced sectors lost or torn"
	row.Bound = b.oracle.bound(r.all())
	row.Recovery = recovery(r.all(), b.oracle.setbacks()...)
	chaos.Report(t, row)
	d.stopAtRest()
}

func TestADaemonWhoseDiskFailsToSyncEndsAndHasAcknowledgedNothingOnHope(t *testing.T) {
	in := installOnFaultyDisk(t)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	b := &burst{oracle: newOracle(), total: 2000}
	b.target.Store(d)
	wait := b.run(t)
	eventually(t, "a part of the burst is accepted", func() bool { return b.accepted.Load() > 500 })
	in.FailSyncsAfter(in.random.IntN(20))
	select {
	case err := <-d.ended:
		if err == nil {
			t.Error("the daemon ended as if all were well")
		}
		d.ended <- err
	case <-time.After(patience):
		t.Fatal("the daemon goes on")
	}
	if log := in.log.tail(8000); !strings.Contains(log, "nothing is accepted until the daemon is started again") {
		t.Errorf("the daemon does not say why it ended:\n%s", log)
	}
	b.oracle.crashed()
	in.remount()
	d = in.serve()
	b.target.Store(d)
	wait()
	row := b.oracle.audit(t, d, r)
	row.Faults = "fsync of the database fails with EIO"
	row.Bound = b.oracle.bound(r.all())
	row.Recovery = recovery(r.all(), b.oracle.setbacks()...)
	chaos.Report(t, row)
	d.stopAtRest()
}
