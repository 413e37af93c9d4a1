package endtoend

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestABackupMadeUnderLoadIsRestoredWithEverythingAcceptedBefore(t *testing.T) {
	in := install(t)
	d := in.serve()
	slow := receive(t, always(503)) // nothing is delivered before the backup
	id := d.subscribe("stock.item.changed", slow.URL)
	b := &burst{oracle: newOracle(), total: 2000}
	b.target.Store(d)
	wait := b.run(t)
	eventually(t, "a part of the burst is accepted", func() bool { return b.accepted.Load() > 500 })
	accepted := b.accepted.Load()
	in.postrider("db", "backup", "backup.db")
	wait()
	if said := in.fails("db", "restore", "backup.db"); !strings.Contains(said, "a daemon uses the database") {
		t.Errorf("restoring beside a daemon: %s", said)
	}
	if said := in.fails("db", "backup", "backup.db"); !strings.Contains(said, "is there already") {
		t.Errorf("backing up twice: %s", said)
	}
	d.kill()
	if err := os.WriteFile(filepath.Join(in.dir, "data/postrider.db"), []byte("the disk was replaced"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := in.postrider("db", "restore", "backup.db")
	if !strings.Contains(said, "before-restore") {
		t.Errorf("restore does not say where it keeps what was there: %s", said)
	}

	d = in.serve()
	good := receive(t, always(200))
	if status, body := d.call("PATCH", fmt.Sprint("/v1/subscribers/", id), map[string]any{"url": good.URL}); status != 200 {
		t.Fatalf("move the subscriber: %d %s", status, body)
	}
	eventually(t, "everything accepted before the backup has arrived", func() bool { n, _ := good.counts(); return int64(n) >= accepted })
	d.stop()
	in.postrider("db", "backup", "without-a-daemon.db")
	in.postrider("db", "check")
}
