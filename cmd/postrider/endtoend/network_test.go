package endtoend

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/core/coretest/chaos"
	"github.com/postrider/postrider/core/coretest/faultproxy"
)

// impatient gives up on an attempt after a second, and tries again soon and often.
const impatient = "notifiers: {default: {plugin: http, config: {timeout: 1s}}}\n" +
	"retry: {schedule: exponential, first: 1s, factor: 1, max_retries: 100}"

func TestNothingIsLostOnANetworkThatFails(t *testing.T) {
	in := install(t, impatient)
	d := in.serve()
	r := receive(t, always(200))
	proxy, err := faultproxy.Start(strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	d.subscribe("stock.item.changed", "http://"+proxy.Addr())
	faults := []struct {
		name  string
		fault faultproxy.Fault
	}{
		{"latency of 100 ms", faultproxy.Fault{Latency: 100 * time.Millisecond}},
		{"reset", faultproxy.Fault{Reset: true}},
		{"half-open", faultproxy.Fault{Silent: true}},
		{"200 bytes/s", faultproxy.Fault{Rate: 200}},
		{"50 kB/s", faultproxy.Fault{Rate: 50_000}},
	}
	const part = 250
	o := newOracle()
	var ended []setback
	for n, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			proxy.Set(f.fault)
			b := &burst{oracle: o, total: part, first: n * part}
			b.target.Store(d)
			b.run(t)() // accepted, whatever the network does
			failed := func() bool {
				return f.fault.Latency > 0 || f.fault.Rate > 10_000 || len(get[page[delivery]](d, "/v1/deliveries?state=scheduled&limit=1").Items) > 0
			}
			eventually(t, "attempts fail", failed)
			proxy.Set(faultproxy.Fault{})
			now := time.Now()
			ended = append(ended, setback{now, now})
			if missing := o.arrived(t, d, r); len(missing) > 0 {
				t.Errorf("%d events do not arrive though the network is well again", len(missing))
			}
		})
	}
	row := o.audit(t, d, r)
	row.Faults, row.Burnt = "network to the receiver: delayed, reset, half-open, dripping, slow", chaos.NotMeasured
	row.Recovery = recovery(r.all(), ended...)
	chaos.Report(t, row)
	d.stopAtRest()
}

func TestNothingIsLostWhileNamesCannotBeResolved(t *testing.T) {
	in := install(t, impatient)
	in.write("hosts", "127.0.0.1 localhost\n")
	in.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n") // nobody answers there
	inNamespace(t, in, fmt.Sprintf("mount --bind %s /etc/hosts\nmount --bind %s /etc/resolv.conf",
		filepath.Join(in.dir, "hosts"), filepath.Join(in.dir, "resolv.conf")))
	d := in.serve()
	r := receive(t, always(200))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	d.subscribe("stock.item.changed", "http://shop.internal:"+port)
	b := &burst{oracle: newOracle(), total: 100}
	b.target.Store(d)
	b.run(t)()
	var failed delivery
	eventually(t, "an attempt fails", func() bool {
		waiting := get[page[delivery]](d, "/v1/deliveries?state=scheduled&limit=1").Items
		if len(waiting) > 0 {
			failed = waiting[0]
		}
		return len(waiting) > 0
	})
	if detail := get[delivery](d, "/v1/deliveries/"+failed.ID); len(detail.Attempts) == 0 || !strings.Contains(detail.Attempts[0].Reason, "shop.internal") {
		t.Errorf("the attempt does not say which name can't be resolved: %+v", detail)
	}
	hosts, err := os.OpenFile(filepath.Join(in.dir, "hosts"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hosts.WriteString("127.0.0.1 shop.internal\n"); err != nil {
		t.Fatal(err)
	}
	hosts.Close()
	began := time.Now()
	row := b.oracle.audit(t, d, r)
	row.Faults, row.Burnt = "the receiver's name can't be resolved, then it can", chaos.NotMeasured
	row.Recovery = recovery(r.all(), setback{began, began})
	chaos.Report(t, row)
	d.stopAtRest()
}
