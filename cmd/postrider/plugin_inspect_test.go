package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const ordersAsText = `
Service Magento\Sales\Api\OrderRepositoryInterface::get
Loads one order by its number.
ARGUMENT   TYPE      REQUIRED   MEANING
id         integer   yes        the order's entity_id, from 1

Configuration
plugins.orders.config in postrider.yaml.
KEY    TYPE     MEANING
file   string   a JSON array of orders, read again for every event; left out: the orders inside the plugin
`

const ordersAsMarkdown = `# orders

A resolver plugin for Postrider, version 1.0.0. It takes up to 256 requests at a time.

## Service Magento\\Sales\\Api\\OrderRepositoryInterface::get

Loads one order by its number.

| argument | type | required | default | meaning |
|---|---|---|---|---|
| ` + "`id`" + ` | integer | yes |  | the order's entity\_id, from 1 |

## Configuration

plugins.orders.config in postrider.yaml.

| key | type | required | default | meaning |
|---|---|---|---|---|
| ` + "`file`" + ` | string |  |  | a JSON array of orders, read again for every event; left out: the orders inside the plugin |
`

func TestPluginInspectShowsWhatAPluginOffersAndTakes(t *testing.T) {
	t.Parallel()
	orders, dir := built(t, "examples", "resolver-orders"), shortTempDir(t)
	r := process(t, dir, "plugin", "inspect", orders)
	contains(t, r.stdout, "name        orders\nversion     1.0.0\nrole        resolver\n", orders)
	if !strings.HasSuffix(r.stdout, ordersAsText) {
		t.Errorf("got\n%s\nwant it to end with\n%s", r.stdout, ordersAsText)
	}
	if r := process(t, dir, "plugin", "inspect", orders, "--markdown"); r.stdout != ordersAsMarkdown {
		t.Errorf("got\n%s\nwant\n%s", r.stdout, ordersAsMarkdown)
	}
	var got inspection
	r = process(t, dir, "plugin", "inspect", orders, "--json")
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	if got.File != orders || got.Name != "orders" || got.MaxInFlight != 256 || len(got.Services) != 1 || got.Services[0].Method != "get" ||
		got.Settings != nil || !strings.Contains(string(got.Configuration), `"file"`) {
		t.Errorf("got %+v", got)
	}
	nothingLeft(t, dir)

	r = process(t, dir, "plugin", "inspect", built(t, "examples", "notifier-console"))
	contains(t, r.stdout, "It takes no configuration.", "It takes no settings.")
}

func TestPluginInspectSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	orders, dir := built(t, "examples", "resolver-orders"), shortTempDir(t)
	if r := process(t, dir, "plugin", "inspect", orders, "--json", "--markdown"); r.status != exitUsage {
		t.Errorf("two formats: got exit status %d", r.status)
	}
	r := process(t, dir, "plugin", "inspect", executable(t))
	if r.status != exitError {
		t.Errorf("no plugin: got exit status %d", r.status)
	}
	contains(t, r.stderr, "where a Postrider plugin prints its handshake")
	contains(t, process(t, dir, "plugin", "inspect", "absent").stderr, "absent can't be launched: no such file or directory")
	contains(t, process(t, dir, "plugin", "inspect", orders, "--config", "absent.yaml").stderr, "there is no configuration file absent.yaml")
}

func TestMarkdownMeansNothingButItself(t *testing.T) {
	for text, want := range map[string]string{
		"a|b *c* _d_\n<e> `f`": "a\\|b \\*c\\* \\_d\\_ \\<e\\> \\`f\\`",
		`A\B`:                  `A\\B`,
	} {
		if got := markdown(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for text, want := range map[string]string{"": "", "a|b": "`a\\|b`", "a`b": "`` a`b ``"} {
		if got := code(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
