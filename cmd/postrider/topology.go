package main

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/core/config"
	"github.com/postrider/postrider/core/daemon"
	"github.com/postrider/postrider/core/rabbitmq"
)

// lookTimeout is how long a broker may take to answer a command that only looks.
const lookTimeout = 30 * time.Second

// broker reads what the configuration says about RabbitMQ.
func (a *app) broker(file string) (config.Queue, rabbitmq.Config, error) {
	c, err := a.configuration(file, map[string]string{})
	if err != nil {
		return config.Queue{}, rabbitmq.Config{}, err
	}
	if c.Queue.IsEmbedded() {
		return c.Queue, rabbitmq.Config{}, errors.New("this configuration's queue is the embedded database, which has no topology: set queue.url to " +
			"amqp://user@host:5672/vhost, or name another configuration with --config")
	}
	broker, err := daemon.Broker(c, hclog.NewNullLogger())
	return c.Queue, broker, err
}

func brokerFlags(c *cobra.Command) *string {
	return c.Flags().String("config", "", "the configuration `file` (default: postrider.yaml, if there is one)")
}

// topology is what --json prints.
type topology struct {
	Broker    string             `json:"broker"`
	Exchanges []topologyExchange `json:"exchanges"`
	Queues    []topologyQueue    `json:"queues"`
	Bindings  []topologyBinding  `json:"bindings"`
}

type topologyExchange struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Role string `json:"role"`
}

type topologyQueue struct {
	Name      string         `json:"name"`
	Role      string         `json:"role"`
	Exists    bool           `json:"exists"`  // else it would be declared
	Foreign   bool           `json:"foreign"` // somebody else may own it: it is taken as it is
	Unused    bool           `json:"unused"`  // purge-delays would remove it
	Messages  int            `json:"messages"`
	Consumers int            `json:"consumers"`
	Arguments map[string]any `json:"arguments"` // with which it would be declared
}

type topologyBinding struct {
	Exchange string `json:"exchange"`
	Queue    string `json:"queue"`
	Key      string `json:"key"`
}

func (a *app) queueTopology() *cobra.Command {
	c := &cobra.Command{
		Use: "topology", Short: "Print what there is on RabbitMQ, and what would be declared there", Args: takes(),
		Long: `Print the queues of the configuration on RabbitMQ: which exist, how much waits in them, and which the daemon would declare when it
starts. It asks the broker itself and declares nothing; no daemon has to run.`,
		Example: `  postrider queue topology
  postrider queue topology --json --config /etc/postrider/postrider.yaml`,
	}
	file, asJSON := brokerFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		queue, broker, err := a.broker(*file)
		if err != nil {
			return err
		}
		planned, err := rabbitmq.TopologyOf(broker)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), lookTimeout)
		defer cancel()
		found, err := rabbitmq.Inspect(ctx, broker)
		if err != nil {
			return err
		}
		t := topologyOf(queue, planned, found)
		if *asJSON {
			return a.printJSON(t)
		}
		a.printTopology(t)
		return nil
	}
	return c
}

func topologyOf(queue config.Queue, planned rabbitmq.Topology, found []rabbitmq.Found) topology {
	t := topology{Broker: queue.String(), Exchanges: []topologyExchange{}, Queues: []topologyQueue{}, Bindings: []topologyBinding{}}
	for _, e := range planned.Exchanges {
		t.Exchanges = append(t.Exchanges, topologyExchange{e.Name, e.Kind, e.Role})
	}
	for _, q := range found {
		t.Queues = append(t.Queues, topologyQueue{
			Name: q.Name, Role: q.Role, Exists: q.Exists, Foreign: q.Foreign, Unused: q.Unused, Messages: q.Messages, Consumers: q.Consumers, Arguments: q.Arguments,
		})
	}
	for _, b := range planned.Bindings {
		t.Bindings = append(t.Bindings, topologyBinding{b.Exchange, b.Queue, b.Key})
	}
	return t
}

func (a *app) printTopology(t topology) {
	a.sayf("On %s:\n", t.Broker)
	queues := table{header: []string{"QUEUE", "STATE", "WAITING", "CONSUMERS", "WHAT IT IS"}}
	missing, unused, foreign := 0, 0, ""
	for _, q := range t.Queues {
		state, waiting, consumers := "exists", thousands(q.Messages), thousands(q.Consumers)
		switch {
		case !q.Exists:
			state, waiting, consumers = "would be declared", "", ""
			missing++
		case q.Unused:
			state = "not used any more"
			unused++
		case q.Foreign:
			foreign = q.Name
		}
		queues.add(q.Name, state, waiting, consumers, q.Role)
	}
	a.print(queues)
	a.sayf("")
	bindings := table{header: []string{"EXCHANGE", "KEY", "LEADS INTO"}}
	for _, b := range t.Bindings {
		if b.Exchange != b.Queue { // the delay queues' own
			bindings.add(b.Exchange, b.Key, b.Queue)
		}
	}
	a.print(bindings)
	if foreign != "" {
		a.sayf("\n%s is used as it is: what leads into it was bound when it was declared, and is not changed by this configuration.", foreign)
	}
	if missing > 0 {
		a.sayf("\nThe daemon declares what does not exist when it starts.")
	}
	if unused > 0 {
		a.sayf("\n`postrider queue purge-delays` removes what is not used any more, after moving what it holds.")
	}
}

// purgedQueue is one line of what --json prints.
type purgedQueue struct {
	Queue string `json:"queue"`
	Moved int    `json:"moved"`
}

func (a *app) queuePurgeDelays() *cobra.Command {
	c := &cobra.Command{
		Use: "purge-delays", Short: "Remove delay queues of schedules that are not used any more, after moving what they hold", Args: takes(),
		Long: `Remove the delay queues on RabbitMQ that the configuration needs no longer, because the schedule in it is another now. What they hold
is moved first, to where it waits for what is left of its time: nothing is lost. The daemon may run meanwhile.`,
	}
	file, asJSON := brokerFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		_, broker, err := a.broker(*file)
		if err != nil {
			return err
		}
		purged, err := rabbitmq.PurgeDelays(c.Context(), broker)
		if *asJSON {
			lines := []purgedQueue{}
			for _, p := range purged {
				lines = append(lines, purgedQueue{p.Queue, p.Moved})
			}
			return errors.Join(err, a.printJSON(lines))
		}
		for _, p := range purged {
			a.sayf("%s is removed; %s moved.", p.Queue, plural(p.Moved, "message was", "messages were"))
		}
		if len(purged) == 0 && err == nil {
			a.sayf("There is nothing to remove: every delay queue is one that the configuration uses.")
		}
		return err
	}
	return c
}
