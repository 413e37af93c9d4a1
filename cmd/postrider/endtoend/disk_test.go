//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// inNamespace makes the daemon of in start in a mount namespace of its own, in which the shell commands of setup were run first.
func inNamespace(t *testing.T, in *installation, setup string) {
	t.Helper()
	if os.Getuid() != 0 {
		chaos.Missing(t, errors.New("a mount namespace of its own takes root"))
	}
	in.wrap = func(args []string) []string {
		return append([]string{"unshare", "--mount", "sh", "-ec", setup + "\nexec \"$@\"", "sh"}, args...)
	}
	if output, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		chaos.Missing(t, fmt.Errorf("no mount namespaces here: %w: %s", err, output))
	}
}

// insideOf returns the path of a file as the daemon sees it.
func (d *daemon) insideOf(path string) string {
	return filepath.Join("/proc", fmt.Sprint(d.cmd.Process.Pid), "root", path)
}

func TestAFullDiskIsSaidLosesNothingAndIsOvercomeBySpace(t *testing.T) {
	aFullDiskIsSaidLosesNothingAndIsOvercomeBySpace(t, "", "40m", nil)
}

// With the queue on RabbitMQ, the log is on the disk all the same. A shop knows nothing of that, and goes on publishing.
func TestAFullDiskIsSaidLosesNothingAndIsOvercomeBySpaceWithTheQueueOnRabbitMQ(t *testing.T) {
	url := broker.Start(t).VHost(t)
	aFullDiskIsSaidLosesNothingAndIsOvercomeBySpace(t, onRabbitMQ(url), "50m", &shop{url: url, prefix: "shop", total: 200})
}

func aFullDiskIsSaidLosesNothingAndIsOvercomeBySpace(t *testing.T, queue, filler string, meanwhile *shop) {
	in := install(t, queue)
	data := filepath.Join(in.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	inNamespace(t, in, "mount -t tmpfs -o size=64m tmpfs "+data+"\nhead -c "+filler+" /dev/zero > "+data+"/filler")
	in.dataDir = func(d *daemon) string { return d.insideOf(data) }
	d := in.serve()
	var open atomic.Bool
	open.Store(meanwhile != nil) // what failed would wait on the broker for up to a minute each time: there, the log of what was delivered fills the disk
	r := receive(t, func(int, received) int {
		if open.Load() {
			return 200
		}
		return 503
	})
	id := d.subscribe("stock.item.changed", r.URL)
	if status, body := d.call("PATCH", fmt.Sprint("/v1/subscribers/", id), `{"retry":{"schedule":"exponential","first":"1s","factor":1,"max_retries":900}}`); status != 200 {
		t.Fatalf("set the schedule: %d %s", status, body)
	}
	accepted, o := 0, newOracle()
	publish := func() (int, string) {
		id := fmt.Sprintf("full-%d", accepted)
		body := fmt.Sprintf(`{"id":%q,"event":"stock.item.changed","arguments":{"id":%[1]q,"x":%q}}`, id, strings.Repeat("x", 8<<10))
		status, answer := d.call("POST", "/v1/events", body)
		if status == 202 {
			accepted++
			o.accept(id)
		}
		return status, string(answer)
	}
	eventually(t, "the disk is full", func() bool {
		for range 50 {
			switch status, answer := publish(); status {
			case 202:
			case 507:
				if !strings.Contains(answer, "free some space") {
					t.Errorf("the refusal does not say what to do: %s", answer)
				}
				return true
			default:
				t.Fatalf("publish: %d %s", status, answer)
			}
		}
		return false
	})
	if accepted < 100 {
		t.Errorf("only %d events of 8 KiB were accepted on a disk of 64 MiB, less %s", accepted, filler)
	}

	if meanwhile != nil {
		meanwhile.oracle = o
		meanwhile.run(t)()
		if status, answer := publish(); status != 507 {
			t.Errorf("with the shop's events on the broker, a publish over HTTP is answered %d %s", status, answer)
		}
	}
	open.Store(true) // what was accepted goes out, on the full disk
	if missing := o.arrived(t, d, r); len(missing) > 0 {
		t.Errorf("%d of %d accepted events do not arrive while the disk is full", len(missing), accepted)
	}
	if err := os.Remove(d.insideOf(filepath.Join(data, "filler"))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, "publishes are accepted again", func() bool { status, _ := publish(); return status == 202 })
	recovery := time.Since(began)
	for range 100 {
		if status, answer := publish(); status != 202 {
			t.Fatalf("publish: %d %s", status, answer)
		}
	}
	row := o.audit(t, d, r)
	row.Faults, row.Burnt, row.Recovery = "disk full (64 MiB), then space again", chaos.NotMeasured, recovery
	if meanwhile != nil {
		row.Faults = "the queue on RabbitMQ, " + row.Faults
		waitForEmpty(t, in)
	}
	chaos.Report(t, row)
	d.stopAtRest()
}
