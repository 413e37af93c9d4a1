package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/bench"
)

// benchFlags are what the command line says beside the settings of the measurement.
type benchFlags struct {
	scenarios  string
	runs       int
	json       *bool
	markdown   bool
	picture    string
	url, token string
	webhooks   []string
}

func (a *app) bench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure deliveries against a raw POST loop, and more",
		Long: `Measure a daemon on this machine. By default: a raw net/http POST loop against a receiver; events published over HTTP to a daemon and
delivered to that same receiver; and their latency at a steady rate. The ratio is deliveries per second over raw POSTs per second.
Receiver and publishers are two processes; one and the same publishes the events and runs the raw loop.
--scenario chooses what else to measure:

` + scenarioHelp() + `
The daemon is one of its own, a real process with temporary data, unless --url names a running one. That one needs
webhooks without a service (--event), no other subscribers of them, and 127.0.0.1 among its egress.allow.

With --queue the daemon's queue is on RabbitMQ, and events are published over AMQP, each confirmed by the broker. All that
this makes there has names of its own, and is removed in the end.`,
		Example: `  postrider bench
  postrider bench --batch 100 --events 200000 --json
  postrider bench --scenario slow,failing --runs 5
  postrider bench --scenario backlog --backlog 1000000 --svg backlog.svg
  postrider bench --queue amqp://guest:guest@127.0.0.1:5672/
  postrider bench --scenario all --runs 5 --markdown
  postrider bench --dir /mnt/data          measure the disk that counts`,
		Args: takes(),
	}
	var flags benchFlags
	var with bench.Settings
	flags.json = jsonFlag(c)
	c.Flags().StringVar(&flags.scenarios, "scenario", "burst", "`names` of scenarios, separated by commas, or all")
	c.Flags().IntVar(&flags.runs, "runs", 1, "how often each is measured: the median and the spread are shown (of all, long ones run once)")
	c.Flags().StringVar(&flags.picture, "svg", "", "draw throughput and latency over time into this `file`; of one scenario")
	c.Flags().BoolVar(&flags.markdown, "markdown", false, "print one Markdown table of all scenarios, with the machine's description")
	c.Flags().IntVar(&with.Events, "events", 40_000, "events of a load phase")
	c.Flags().IntVar(&with.Publishers, "publishers", 64, "publishers at a time")
	c.Flags().IntVar(&with.Size, "size", 1024, "`bytes` of one payload")
	c.Flags().IntVar(&with.Batch, "batch", 1, "events in one publish")
	c.Flags().IntVar(&with.Rate, "rate", 200, "events per second of the steady phase; 0 leaves it out")
	c.Flags().DurationVar(&with.Duration, "duration", 10*time.Second, "how long a phase at a rate lasts")
	c.Flags().IntVar(&with.Subscribers, "subscribers", 0, "subscribers of fan-out, neighbours and many (default: as listed above)")
	c.Flags().Float64Var(&with.SlowShare, "slow-share", 0.5, "the `share` of the load that goes to the endpoint of slow and failing")
	c.Flags().IntVar(&with.Backlog, "backlog", 100_000, "events of the backlog")
	c.Flags().StringVar(&flags.url, "url", "", "measure the running daemon at this `URL` instead of one of its own")
	c.Flags().StringVar(&flags.token, "token", "", "its API `token` (or POSTRIDER_TOKEN; default: the local data directory's)")
	c.Flags().StringSliceVar(&flags.webhooks, "event", nil, "the webhooks to publish on the daemon of --url, by `names` separated by commas")
	c.Flags().StringVar(&with.Queue, "queue", "", "give the daemon a queue on the RabbitMQ at this `URL`, and publish over AMQP")
	c.Flags().StringVar(&with.Dir, "dir", "", "put the temporary data into this `directory` (default: the system's)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		scenarios, err := checkBench(flags, with)
		if err != nil {
			return err
		}
		with.Executable = a.executable
		if flags.url != "" {
			daemon, err := a.connect(&connection{url: flags.url, token: flags.token})
			if err != nil {
				return err
			}
			with.URL, with.Token, with.Webhooks = daemon.URL(), daemon.Token(), flags.webhooks
		}
		progress := &progressLine{app: a, told: map[string]bool{}}
		with.Progress = progress.show
		var reports []bench.Report
		for _, s := range scenarios {
			runs := flags.runs
			if s.Long && flags.scenarios == "all" {
				runs = 1
			}
			r, err := bench.Run(c.Context(), s, with, runs)
			progress.end()
			if err != nil {
				return err
			}
			reports = append(reports, r)
			if !*flags.json && !flags.markdown {
				a.printBench(s, r)
			}
		}
		return a.finishBench(flags, bench.Describe(with.Dir), reports)
	}
	return c
}

// scenarioHelp lists the scenarios for the help text.
func scenarioHelp() string {
	var b strings.Builder
	for _, s := range bench.Scenarios() {
		fmt.Fprintf(&b, "  %-11s %s\n", s.Name, s.About)
	}
	return b.String()
}

func checkBench(f benchFlags, c bench.Settings) ([]bench.Scenario, error) {
	scenarios, err := bench.Find(f.scenarios)
	switch {
	case err != nil:
		return nil, usageError{fmt.Errorf("--scenario: %w", err)}
	case f.runs < 1:
		return nil, usagef("--runs is at least 1")
	case f.picture != "" && len(scenarios) != 1:
		return nil, usagef("--svg draws one scenario: choose it with --scenario")
	case f.markdown && *f.json:
		return nil, usagef("print --json or --markdown, not both")
	case len(f.webhooks) > 0 && f.url == "":
		return nil, usagef("--event is for a running daemon: give its --url")
	case c.Queue != "" && f.url != "":
		return nil, usagef("--queue is for a daemon of its own: leave out --url")
	case c.Events < 1 || c.Publishers < 1 || c.Batch < 1:
		return nil, usagef("--events, --publishers and --batch are at least 1")
	case c.Events > 10_000_000 || c.Backlog > 10_000_000:
		return nil, usagef("--events and --backlog are at most 10,000,000, because each event is remembered")
	case c.Backlog < 1000:
		return nil, usagef("--backlog is at least 1,000")
	case c.Size < bench.MinSize:
		return nil, usagef("--size %d: a payload of at least %d bytes holds its number", c.Size, bench.MinSize)
	case c.Rate < 0 || c.Rate > 100_000 || c.Duration <= 0:
		return nil, usagef("--rate is 0 to 100,000, and --duration more than 0")
	case c.Subscribers < 0 || c.Subscribers > 1_000_000:
		return nil, usagef("--subscribers is 0 to 1,000,000")
	case !(c.SlowShare > 0 && c.SlowShare < 1):
		return nil, usagef("--slow-share is a part of the load: between 0 and 1")
	}
	return scenarios, nil
}

// finishBench prints what is printed of all scenarios together, and draws the picture.
func (a *app) finishBench(f benchFlags, m bench.Machine, reports []bench.Report) error {
	var errs []error
	switch {
	case f.markdown:
		errs = append(errs, bench.Markdown(a.stdout, m, reports))
	case *f.json && len(reports) == 1:
		errs = append(errs, a.printJSON(benchDocument{reports[0], m}))
	case *f.json:
		documents := []benchDocument{}
		for _, r := range reports {
			documents = append(documents, benchDocument{r, m})
		}
		errs = append(errs, a.printJSON(documents))
	}
	if f.picture != "" {
		errs = append(errs, draw(f.picture, m, reports[0]))
	}
	for _, r := range reports {
		if r.Lost > 0 {
			errs = append(errs, fmt.Errorf("%s lost in %s: accepted, and not delivered", plural(r.Lost, "delivery was", "deliveries were"), r.Scenario))
		}
	}
	return errors.Join(errs...)
}

// benchDocument is what --json prints of each scenario.
type benchDocument struct {
	bench.Report
	Machine bench.Machine `json:"machine"`
}

func draw(path string, m bench.Machine, r bench.Report) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("draw the picture: %w", err)
	}
	if err := errors.Join(bench.SVG(file, m, r), file.Close()); err != nil {
		return fmt.Errorf("draw the picture: %w", err)
	}
	return nil
}

// progressLine shows how far a measurement is: on a terminal in one line that is rewritten, else in one line per phase, the first time.
type progressLine struct {
	app  *app
	told map[string]bool // phases
}

func (l *progressLine) show(p bench.Progress) {
	if !l.app.progress {
		if phase := p.Scenario + ", " + p.Phase; !l.told[phase] {
			l.told[phase] = true
			fmt.Fprintln(l.app.stderr, phase)
		}
		return
	}
	const width = 24
	done := min(width, p.Delivered*width/max(1, p.Total))
	fmt.Fprintf(l.app.stderr, "\r\x1b[K%-11s %-15s %s%s  %s of %s", p.Scenario, p.Phase, strings.Repeat("━", done), strings.Repeat("─", width-done),
		thousands(p.Delivered), thousands(p.Total))
}

// end leaves no progress behind on a terminal.
func (l *progressLine) end() {
	if l.app.progress {
		fmt.Fprint(l.app.stderr, "\r\x1b[K")
	}
}

func (a *app) printBench(s bench.Scenario, r bench.Report) {
	a.sayf("%s: %s", a.bold(s.Name), s.About)
	how := "one by one"
	if r.Batch > 1 {
		how = "in batches of " + thousands(r.Batch)
	}
	a.sayf("%s", a.dim(fmt.Sprintf("payloads of %s; %s by %s; %s", size(int64(r.Size)), how, count(r.Publishers, "publisher"), count(runtime.NumCPU(), "CPU"))))
	a.sayf("")
	figures := table{header: []string{"FIGURE", "", "SPREAD", ""}}
	for _, f := range r.Figures {
		if f.Detail && r.Runs == 1 {
			continue // the latencies below say it
		}
		value, spread := bench.Format(f.Value, f.Unit), ""
		if r.Runs > 1 {
			spread = bench.Format(f.Low, f.Unit) + " – " + bench.Format(f.High, f.Unit)
		}
		figures.add(f.Name, value, spread, f.Note)
	}
	figures.dropEmpty()
	a.print(figures)
	if len(r.Phases) > 0 {
		a.sayf("")
		t := table{header: []string{"LATENCY", "P50", "P90", "P99", "MAX", ""}}
		for _, p := range r.Phases {
			t.add(p.Name, milliseconds(p.Latency.P50), milliseconds(p.Latency.P90), milliseconds(p.Latency.P99), milliseconds(p.Latency.Max), p.From)
		}
		a.print(t)
	}
	a.sayf("\n%s, %s\n", plural(r.Lost, "delivery lost", "deliveries lost"), plural(r.Duplicated, "duplicate", "duplicates"))
}
