//go:build linux

package bolt

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest/chaos"
	"github.com/postrider/postrider/core/coretest/faultfs"
)

// disk is a directory on a faulty file system, and what was acknowledged on it.
type disk struct {
	t            *testing.T
	real, point  string // the directory, and where a process sees it
	acknowledged map[core.EventID]bool
}

func newDisk(t *testing.T) *disk {
	d := &disk{t: t, real: t.TempDir(), point: t.TempDir(), acknowledged: map[core.EventID]bool{}}
	d.mount().unmount()
	return d
}

// mounted is a disk while it is mounted.
type mounted struct {
	*disk
	*faultfs.FS
}

func (d *disk) mount() mounted {
	d.t.Helper()
	f, err := faultfs.Mount(d.real, d.point)
	if errors.Is(err, os.ErrPermission) {
		chaos.Missing(d.t, err)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return mounted{d, f}
}

func (m mounted) unmount() {
	m.t.Helper()
	if err := m.Unmount(); err != nil {
		m.t.Fatal(err)
	}
}

// run lets a process publish and consume on the disk until it ends by itself or the power fails, and notes what it acknowledged. It
// returns the errors that the process met.
func (m mounted) run() (failures []string) {
	m.t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+filepath.Join(m.point, "postrider.db"))
	output, err := child.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		m.t.Fatal(err)
	}
	watchdog := time.AfterFunc(20*time.Second, func() {
		m.t.Error("the process neither ended nor did the power fail")
		child.Process.Kill()
	})
	defer watchdog.Stop()
	ended := make(chan struct{})
	go func() {
		select {
		case <-m.Dark():
			child.Process.Kill()
		case <-ended:
		}
	}()
	scan := bufio.NewScanner(output)
	for scan.Scan() {
		switch what, id, _ := strings.Cut(scan.Text(), " "); {
		case what == "e":
			failures = append(failures, id)
		case what == "p" && len(id) == len("evt_")+26: // the last line may be cut off
			m.acknowledged[core.EventID(id)] = true
		}
	}
	child.Wait() //nolint:errcheck // it was killed, or said what it died of
	close(ended)
	return failures
}

// lost checks that the file is sound, and counts what was acknowledged and is not in it.
func (d *disk) lost() (n int) {
	d.t.Helper()
	path := filepath.Join(d.real, "postrider.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return len(d.acknowledged) // where the power failed before there was a file, nothing is
	}
	if err := inspected(d.t, path); err != nil {
		d.t.Fatalf("the file: %v", err)
	}
	db, err := Open(Config{Path: path})
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	for id := range d.acknowledged {
		if _, err := db.Event(d.t.Context(), id); err != nil {
			if n++; n <= 5 {
				d.t.Errorf("event %s was acknowledged and is lost: %v", id, err)
			}
		}
	}
	return n
}

func TestNothingAcknowledgedIsLostWhenThePowerFails(t *testing.T) {
	cuts := chaos.Setting(t, "POSTRIDER_CUTS", 25)
	d := newDisk(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	lost := 0
	for range cuts {
		m := d.mount()
		m.CutAfter(random.IntN(600))
		m.run()
		m.unmount()
		if err := m.Lose(random); err != nil {
			t.Fatal(err)
		}
		lost = max(lost, d.lost())
	}
	chaos.Report(t, chaos.Row{ // nobody receives anything here
		Faults: fmt.Sprintf("%d power cuts under the database alone", cuts), Accepted: len(d.acknowledged), Lost: lost,
		Duplicated: chaos.NotMeasured, Burnt: chaos.NotMeasured, Recovery: chaos.NotMeasured,
	})
}

func TestAFailingSyncEndsTheProcessWithNothingAcknowledgedOnHope(t *testing.T) {
	d := newDisk(t)
	m := d.mount()
	m.FailSyncsAfter(60) // some thirty commits
	failures := m.run()
	m.unmount()
	if err := m.Lose(rand.New(rand.NewPCG(1, 2))); err != nil {
		t.Fatal(err)
	}
	if len(failures) == 0 || !strings.Contains(strings.Join(failures, "\n"), "nothing is accepted until the daemon is started again") {
		t.Errorf("the process said: %q", failures)
	}
	if len(d.acknowledged) == 0 {
		t.Error("nothing was acknowledged before the syncs failed: the test shows nothing")
	}
	if lost := d.lost(); lost > 0 {
		t.Errorf("%d of %d acknowledged events are lost", lost, len(d.acknowledged))
	}
}
