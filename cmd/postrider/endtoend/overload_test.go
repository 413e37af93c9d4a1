//go:build linux

package endtoend

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
)

// anonymous returns the memory of the daemon that is not backed by a file, in MiB.
func (d *daemon) anonymous() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.in.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				d.in.t.Fatal(err)
			}
			return kib >> 10
		}
	}
	d.in.t.Fatal("no RssAnon in the daemon's status")
	return 0
}

func TestOverloadIsRefusedInTimeAndLosesNothing(t *testing.T) {
	const limit, most = 1000, 200 // events; MiB
	seconds := setting(t, "POSTRIDER_SECONDS", 5)
	in := install(t, fmt.Sprintf("limits: {backlog: %d}", limit))
	d := in.serve()
	turns := make(chan struct{}, 64) // one for every tenth publish, so that the receiver is ten times slower on any machine
	r := receive(t, func(int, received) int {
		<-turns
		return 200
	})
	d.subscribe("stock.item.changed", r.URL)

	o := newOracle()
	var offered, refused, next atomic.Int64
	var publishers sync.WaitGroup
	enough := time.Now().Add(time.Duration(seconds) * time.Second)
	memory, waiting := 0, 0
	for range 32 {
		publishers.Go(func() {
			for time.Now().Before(enough) {
				id := fmt.Sprintf("flood-%d", next.Add(1))
				body := fmt.Sprintf(`{"id":%q,"event":"stock.item.changed","arguments":{"id":%[1]q,"x":%q}}`, id, strings.Repeat("x", 1000))
				request, err := http.NewRequestWithContext(t.Context(), "POST", d.url+"/v1/events", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Authorization", "Bearer "+d.token)
				answer, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				answer.Body.Close()
				if offered.Add(1)%10 == 0 {
					select {
					case turns <- struct{}{}:
					default: // the receiver is not even that fast
					}
				}
				switch {
				case answer.StatusCode == 202:
					o.accept(id)
				case answer.StatusCode == 429 && answer.Header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					t.Errorf("publish: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
					return
				}
			}
		})
	}
	type depth struct{ Ready int }
	for time.Now().Before(enough) {
		memory = max(memory, d.anonymous())
		ready := 0
		for _, q := range get[page[depth]](d, "/v1/queues").Items {
			ready += q.Ready
		}
		waiting = max(waiting, ready)
		time.Sleep(50 * time.Millisecond) // between two samples
	}
	publishers.Wait()
	close(turns)
	began := time.Now()
	d.publishUntilAccepted("afterwards")
	recovery := time.Since(began)
	o.accept("afterwards")
	row := o.audit(t, d, r)
	t.Logf("%d publishes refused, at most %d events were waiting, %d MiB of anonymous memory at most", refused.Load(), waiting, memory)
	if refused.Load() == 0 {
		t.Error("no publish was refused")
	}
	if waiting > 2*limit {
		t.Errorf("%d events were waiting, the limit is %d", waiting, limit)
	}
	if memory > most {
		t.Errorf("the daemon used %d MiB of anonymous memory, more than %d", memory, most)
	}
	row.Faults = fmt.Sprintf("publishers ten times faster than the receiver for %d s (%d publishes refused)", seconds, refused.Load())
	row.Burnt, row.Recovery = chaos.NotMeasured, recovery
	chaos.Report(t, row)
	d.stopAtRest()
}

// publishUntilAccepted publishes one event, as often as it is refused.
func (d *daemon) publishUntilAccepted(id string) {
	eventually(d.in.t, "a publish is accepted", func() bool {
		status, answer := d.call("POST", "/v1/events", publication(id))
		if status != 202 && status != 429 {
			d.in.t.Fatalf("publish: %d %s", status, answer)
		}
		return status == 202
	})
}

func TestIdleAndSlowConnectionsToTheAPIHoldNobodyUp(t *testing.T) {
	t.Parallel()
	count := setting(t, "POSTRIDER_CONNECTIONS", 1000)
	in := install(t)
	d := in.serve()
	r := receive(t, always(200))
	d.subscribe("stock.item.changed", r.URL)
	before := d.descriptors()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var idle, slow []net.Conn
	for range count {
		idle = append(idle, dial())
	}
	for range 100 { // Slowloris: a header that never ends
		c := dial()
		if _, err := c.Write([]byte("POST /v1/events HTTP/1.1\r\nHost: postrider\r\nX-")); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	eventually(t, "the daemon has taken all connections", func() bool { return d.descriptors() >= before+count+100 })
	for n := range 100 {
		if status, answer := d.call("POST", "/v1/events", fmt.Sprintf(`{"event":"stock.item.changed","arguments":{"n":%d}}`, n)); status != 202 {
			t.Fatalf("publish: %d %s", status, answer)
		}
	}
	eventually(t, "everything accepted has arrived", func() bool { n, _ := r.counts(); return n >= 100 })
	for _, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
			t.Fatal("a header that never ends is waited for")
		}
	}
	for _, c := range idle {
		c.Close()
	}
	eventually(t, "the descriptors are given back", func() bool { return d.descriptors() <= before+16 })
	d.stop()
}
