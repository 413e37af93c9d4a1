package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/sdk/host"
	"github.com/postrider/postrider/sdk/sdktest"
)

const class = `Magento\Sales\Api\OrderRepositoryInterface`

func TestThePluginPassesTheChecksOfEveryResolver(t *testing.T) {
	sdktest.CheckResolver(t, sdktest.ResolverCheck{
		Start:         start,
		Configuration: `{"file":"orders.json"}`,
		Calls:         []sdktest.Call{{Class: class, Method: "get", Arguments: `{"id":1}`}},
	})
}

func TestOrderOneIsInside(t *testing.T) {
	payload, err := start(t).Resolve(t.Context(), class, "get", `{"id":1}`)
	if err != nil {
		t.Fatal(err)
	}
	var order struct {
		ID        int    `json:"entity_id"`
		Increment string `json:"increment_id"`
	}
	if err := json.Unmarshal([]byte(payload), &order); err != nil || order.ID != 1 || order.Increment != "000000001" {
		t.Errorf("got %+v (%v) from %s", order, err, payload)
	}
}

func TestWhatIsNoOrderIsRefusedOrTriedAgain(t *testing.T) {
	tests := []struct {
		name, arguments string
		want            string
		permanent       bool
	}{
		{"an order that isn't there yet", `{"id":99}`, "no order 99", false},
		{"an id that no order has", `{"id":0}`, `"id" is 0`, true},
		{"an id that is text", `{"id":"1"}`, `"id"`, true},
		{"no id", `{}`, `"id"`, true},
		{"another argument", `{"id":1,"store":2}`, `"store"`, true},
	}
	p := launch(t, "{}")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := p.Resolve(t.Context(), class, "get", test.arguments)
			var failed *host.PluginError
			if !errors.As(err, &failed) || failed.InvalidArguments != test.permanent || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that says %s (permanent: %v)", err, test.want, test.permanent)
			}
		})
	}
}

func TestAConfiguredFileIsReadForEveryEvent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "orders.json")
	configuration, err := json.Marshal(configuration{File: file})
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, string(configuration))

	steps := []struct {
		content string // "": there is no file
		payload string // "": an error
		problem string
	}{
		{"", "", file},
		{`[{"entity_id": 1, "note": "first"}]`, `{"entity_id": 1, "note": "first"}`, ""},
		{`[{"entity_id": 1, "note": "second"}]`, `{"entity_id": 1, "note": "second"}`, ""},
		{`[{"entity_id": 2}]`, "", "no order 1 in " + file},
		{`[{"entity_id": "one"}]`, "", "entity_id"},
		{`{"entity_id": 1}`, "", "must hold a JSON array"},
		{`[{"entity_id": 1`, "", "must hold a JSON array"},
	}
	for _, step := range steps {
		if step.content != "" {
			if err := os.WriteFile(file, []byte(step.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		payload, err := p.Resolve(t.Context(), class, "get", `{"id":1}`)
		if step.payload != "" && (err != nil || payload != step.payload) {
			t.Errorf("%s: got %s (%v), want %s", step.content, payload, err, step.payload)
		}
		var failed *host.PluginError
		if step.payload == "" && (!errors.As(err, &failed) || failed.Permanent || !strings.Contains(err.Error(), step.problem)) {
			t.Errorf("%q: got %v, want an error that says %q and is tried again", step.content, err, step.problem)
		}
	}
}

func TestTheSamplesNameThisPlugin(t *testing.T) {
	var daemon struct {
		Plugins map[string]struct {
			Config any `yaml:"config"`
		} `yaml:"plugins"`
	}
	var definitions struct {
		Webhooks map[string]struct {
			Service struct{ Class, Method string } `yaml:"service"`
		} `yaml:"webhooks"`
	}
	for file, target := range map[string]any{"postrider.yaml": &daemon, "webhooks.yaml": &definitions} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(content, target); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(daemon.Plugins["orders"].Config)
	if err != nil {
		t.Fatal(err)
	}
	p := launch(t, string(raw)) // relative to its working directory, this one
	service := definitions.Webhooks["sales.order.created"].Service
	if _, err := p.Resolve(t.Context(), service.Class, service.Method, `{"id":2}`); err != nil {
		t.Error(err)
	}
}
