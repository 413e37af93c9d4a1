package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// lab is what a scenario works in: the settings, a receiver, a process that publishes, the daemon that it asked for, and the report that it fills.
type lab struct {
	Settings
	receiver   *receiver
	publishers *child
	daemon     *target // nil before start
	report     Report
}

func newLab(scenario string, with Settings) (*lab, error) {
	r, err := newReceiver()
	if err != nil {
		return nil, err
	}
	c, err := startChild(with.Executable)
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return &lab{Settings: with, receiver: r, publishers: c, report: Report{
		Scenario: scenario, Publishers: with.Publishers, Size: with.Size, Batch: with.Batch,
	}}, nil
}

func (l *lab) close() error {
	var errs []error
	for _, e := range *l.receiver.endpoints.Load() {
		e.answer() // a daemon that stops waits for what is under way
	}
	errs = append(errs, l.publishers.close())
	if l.daemon != nil {
		errs = append(errs, l.daemon.close())
	}
	return errors.Join(append(errs, l.receiver.close())...)
}

// start makes l.daemon a daemon with what is needed: one of its own, or the one that runs.
func (l *lab) start(ctx context.Context, n need) error {
	d, err := newTarget(ctx, l.Settings, n)
	if err != nil {
		return err
	}
	l.daemon = d
	return nil
}

// startWithEndpoint starts a daemon with one webhook, and an endpoint that is subscribed to it.
func (l *lab) startWithEndpoint(ctx context.Context) (*endpoint, error) {
	endpoints, err := l.startWithEndpoints(ctx, 1)
	if err != nil {
		return nil, err
	}
	return endpoints[0], nil
}

// startWithEndpoints starts a daemon with n webhooks, and an endpoint for each.
func (l *lab) startWithEndpoints(ctx context.Context, n int) ([]*endpoint, error) {
	if err := l.start(ctx, need{webhooks: n}); err != nil {
		return nil, err
	}
	endpoints := l.receiver.add(n)
	all := make([]subscription, n)
	for i, e := range endpoints {
		all[i] = subscription{webhook: l.daemon.webhooks[i], endpoint: e}
	}
	return endpoints, l.daemon.subscribe(ctx, all...)
}

// raw is a POST loop to an endpoint.
func (l *lab) raw(e *endpoint) traffic {
	body := newTemplate(payload(l.Size))
	return traffic{to: destination{URL: e.url, Accepted: http.StatusOK}, publishers: l.Publishers, mix: mix{Bodies: []template{body}}}
}

// events is traffic of the named webhooks, one event in each request, by turns.
func (l *lab) events(webhooks ...string) traffic {
	t := traffic{to: l.daemon.events, publishers: l.Publishers}
	for _, w := range webhooks {
		t.Bodies = append(t.Bodies, eventBody(w, l.Size, 1))
	}
	return t
}

// batches is traffic of one webhook, with so many events in each request.
func (l *lab) batches(webhook string, batch int) traffic {
	t := l.events(webhook)
	t.Bodies = []template{eventBody(webhook, l.Size, batch)}
	return t
}

// consumption puts into the report what the daemon and its plugins used since before, for each of n things.
func (l *lab) consumption(before []Process, n int, thing string) {
	after := usage(l.daemon.pid)
	if before == nil || after == nil {
		return
	}
	l.report.Processes = between(before, after, n)
	var cpu float64
	var memory int64
	var parts, sizes []string
	for _, p := range l.report.Processes {
		cpu += p.CPU
		memory += p.Memory.Anonymous
		parts = append(parts, fmt.Sprintf("%s %.3f", p.Name, p.CPU))
		sizes = append(sizes, fmt.Sprintf("%s %d", p.Name, p.Memory.Anonymous>>20))
	}
	l.report.headline("CPU per "+thing, cpu, Milliseconds, strings.Join(parts, ", "))
	l.report.figure("memory", float64(memory), Bytes, "anonymous, in MiB: "+strings.Join(sizes, ", "))
}

// anonymous returns the anonymous memory of the daemon process, in bytes; 0 where it can't be told.
func (l *lab) anonymous() int64 {
	if all := usage(l.daemon.pid); len(all) > 0 {
		return all[0].Memory.Anonymous
	}
	return 0
}
