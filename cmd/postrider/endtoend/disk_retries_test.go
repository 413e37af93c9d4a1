//go:build linux

package endtoend

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// Two retries, and no more: an attempt that a full disk burns is one too many. Few enough deliveries fail for no breaker to open.
func TestWhatFailsOnAFullDiskKeepsItsRetriesWithTheQueueOnRabbitMQ(t *testing.T) {
	const part = 16
	url := broker.Start(t).VHost(t)
	in := install(t, onRabbitMQ(url), "retry: [1s, 1s]")
	in.write("webhooks.xml", `<config><webhook hook_name="stock.item.filled"/><webhook hook_name="stock.item.moved"/><webhook hook_name="stock.item.changed"/></config>`)
	data := filepath.Join(in.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	inNamespace(t, in, "mount -t tmpfs -o size=64m tmpfs "+data)
	in.dataDir = func(d *daemon) string { return d.insideOf(data) }
	d := in.serve()

	full := make(chan struct{}) // closed when nothing can be logged any more
	fail := sync.OnceFunc(func() { close(full) })
	t.Cleanup(fail)
	held := make(chan struct{}, 10*part)
	r := receive(t, func(_ int, one received) int {
		switch kind, _, _ := strings.Cut(one.Event, "-"); {
		case kind == "fill", one.Attempt == "3", kind == "first" && one.Attempt == "2":
			return 200
		case kind == "first", one.Attempt == "2": // fails once the disk is full
			held <- struct{}{}
			<-full
		}
		return 503
	})
	for _, event := range []string{"filled", "moved", "changed"} {
		d.subscribe("stock.item."+event, r.URL)
	}
	o := newOracle()
	again := &shop{oracle: o, url: url, prefix: "again", event: "stock.item.changed", total: part} // fails for the second time then
	first := &shop{oracle: o, url: url, prefix: "first", event: "stock.item.moved", total: part}   // fails for the first time then
	again.run(t)()
	first.run(t)()
	for range 2 * part {
		select {
		case <-held:
		case <-time.After(patience):
			t.Fatal("the attempts that are to fail are not made")
		}
	}

	filler := d.insideOf(filepath.Join(data, "filler"))
	if err := fill(filler); err != nil {
		t.Fatal(err)
	}
	fills := &shop{oracle: o, url: url, prefix: "fill", event: "stock.item.filled", total: 300, padding: 8 << 10} // takes what the file has free inside
	fills.run(t)()
	eventually(t, "a commit finds no space", func() bool {
		d.mustRun()
		status, said := d.call("PATCH", "/v1/subscribers/1", `{"enabled":true}`)
		if status != http.StatusOK && status != http.StatusInsufficientStorage {
			t.Fatalf("change a subscriber: %d %s", status, said)
		}
		return status == http.StatusInsufficientStorage
	})
	fail()
	if status, said := d.call("POST", "/v1/events", publication("refused")); status != http.StatusInsufficientStorage {
		t.Errorf("publishing over HTTP meanwhile: %d %s", status, said)
	}
	kept := messagesOn(t, url)
	delivered := 0
	for _, event := range []string{"filled", "moved", "changed"} {
		delivered += len(get[page[delivery]](d, "/v1/deliveries?limit=1000&state=delivered&event=stock.item."+event).Items)
	}
	t.Logf("on the full disk, %d of %d events are logged as delivered, and %d messages are on the broker", delivered, len(o.accepted), kept)
	if open := len(o.accepted) - delivered; open < 2*part || kept < open {
		t.Errorf("%d messages are on the broker for %d events that are not logged as delivered, want one for each of at least %d", kept, open, 2*part)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	row := o.audit(t, d, r)
	row.Faults, row.Burnt = "the queue on RabbitMQ, deliveries fail on a full disk (64 MiB), then space again", chaos.NotMeasured
	row.Recovery = recovery(r.all(), setback{now, now})
	chaos.Report(t, row)
	waitForEmpty(t, in)
	d.stopAtRest()
}

// messagesOn counts the messages in the queues of a vhost, those in a consumer's hands among them. It asks the queues: what list_queues tells is some seconds old.
func messagesOn(t *testing.T, url string) int {
	t.Helper()
	said := broker.Start(t).Ctl(t, "eval", fmt.Sprintf(`lists:sum([element(2, element(2, ra:local_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1))) || `+
		`Q <- rabbit_amqqueue:list(<<"%s">>), amqqueue:get_type(Q) =:= rabbit_quorum_queue, element(4, amqqueue:get_name(Q)) =/= <<"webhook.delays">>]).`,
		url[strings.LastIndex(url, "/")+1:]))
	n, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill takes all the space there is.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for chunk := int64(1 << 20); chunk >= 512; {
		if _, err = io.CopyN(file, zeros{}, chunk); err != nil {
			chunk /= 2
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
