package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/core"
	"github.com/postrider/postrider/core/coretest/chaos"
)

// childFile is the environment variable that makes this test binary the process that is killed: it names the file.
const childFile = "POSTRIDER_BOLT_KILL_FILE"

// runChild publishes and consumes until it is killed. It prints "p ID" for each publish that was acknowledged, and "c ID" when an event
// is handed to it.
func runChild() bool {
	path := os.Getenv(childFile)
	if path == "" {
		return false
	}
	db, err := Open(Config{Path: path, checkpoint: 64 << 10}) // often, so that it dies in many of them, too
	if err != nil {
		fmt.Println("e", err)
		return true
	}
	var out sync.Mutex
	say := func(what string, id core.EventID) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(what, id)
	}
	maker := newEventMaker()
	for range 8 {
		go func() {
			for {
				e := maker.event("order.created")
				if err := db.Publish(context.Background(), core.Outgoing{Queue: core.EventQueue, Message: core.EventMessage(e)}); err != nil {
					fmt.Println("e", err)
					return
				}
				say("p", e.ID)
			}
		}()
	}
	err = db.Consume(context.Background(), core.EventQueue, 4, func(_ context.Context, m core.Message) (core.Result, error) {
		say("c", m.Event)
		return delivered(m), nil
	})
	fmt.Println("e", err)
	return true
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.db")
	acknowledged := map[core.EventID]bool{}
	few := 8
	if testing.Short() {
		few = 2
	}
	kills := chaos.Setting(t, "POSTRIDER_KILLS", few)
	for range kills {
		killedAfter(t, path, 20+rand.IntN(400), acknowledged)
	}
	if err := inspected(t, path); err != nil {
		t.Errorf("the file after %d kills: %v", kills, err)
	}
	db, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	waiting, lost := 0, 0
	for id := range acknowledged {
		record, err := db.Event(t.Context(), id)
		_, unattempted := db.Attempt(t.Context(), id, 1, 1)
		switch {
		case err == nil && record.State == core.EventAccepted && unattempted != nil:
			waiting++
		case err != nil || record.State != core.EventDispatched || unattempted != nil:
			if lost++; lost <= 5 {
				t.Errorf("event %s was acknowledged, and is %v (%v), its attempt: %v", id, record.State, err, unattempted)
			}
		}
	}
	t.Logf("%d of the events still wait", waiting)
	chaos.Report(t, chaos.Row{ // nobody receives anything here
		Faults: fmt.Sprintf("the database's process killed %d times", kills), Accepted: len(acknowledged), Lost: lost,
		Duplicated: chaos.NotMeasured, Burnt: chaos.NotMeasured, Recovery: chaos.NotMeasured,
	})
}

// killedAfter starts a child, kills it after it has said some lines, and notes what it acknowledged.
func killedAfter(t *testing.T, path string, lines int, acknowledged map[core.EventID]bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+path)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(20*time.Second, func() { child.Process.Kill() })
	defer watchdog.Stop()
	scan := bufio.NewScanner(output)
	for n := 0; scan.Scan(); n++ {
		what, id, whole := strings.Cut(scan.Text(), " ")
		switch {
		case what == "e":
			t.Errorf("the child failed: %s", scan.Text())
		case what == "p" && whole && len(id) == len("evt_")+26: // the last line may be cut off
			acknowledged[core.EventID(id)] = true
		}
		if n == lines {
			child.Process.Kill()
		}
	}
	child.Wait() //nolint:errcheck // it was killed
}
