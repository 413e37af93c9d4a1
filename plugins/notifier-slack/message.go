package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/sdk"
)

// content is what a message says, as operators and subscribers write it. Whoever sets a text or blocks sets the whole of it.
type content struct {
	Text   string           `json:"text,omitempty" jsonschema:"template of the text; beside blocks it is what notifications show"`
	Blocks []map[string]any `json:"blocks,omitempty" jsonschema:"Block Kit blocks, each string in them a template"`
	Unfurl bool             `json:"unfurl,omitempty" jsonschema:"whether Slack looks at the links of a message to show what is there"`
}

// standard is what is posted where nobody says anything else.
var standard = content{Text: "*{{.event}}*\n```{{json .payload | truncate 2500}}```"}

func (c content) isEmpty() bool { return c.Text == "" && len(c.Blocks) == 0 }

// message is a content that has been compiled.
type message struct {
	text   *text
	blocks []any // as JSON has it, with templates in place of some strings
	unfurl bool
}

// compile reads the templates. An error names the one that is wrong, as "blocks[1].text.text".
func (c content) compile() (*message, error) {
	m := &message{unfurl: c.Unfurl}
	source := c.Text
	if source == "" {
		source = "{{.event}}" // Slack wants a text for notifications beside blocks
	}
	var err error
	if m.text, err = parseText("text", source, escaped); err != nil {
		return nil, err
	}
	for i, block := range c.Blocks {
		compiled, err := compileValue(fmt.Sprintf("blocks[%d]", i), "", block)
		if err != nil {
			return nil, err
		}
		m.blocks = append(m.blocks, compiled)
	}
	return m, nil
}

// compileValue replaces the strings of a block that hold template actions. What stands under the key text is text to Slack, where three characters must
// be escaped; everywhere else (URLs, values, ids) they stand for themselves.
func compileValue(path, key string, value any) (any, error) {
	switch value := value.(type) {
	case string:
		if !strings.Contains(value, "{{") {
			return value, nil
		}
		mode := plain
		if key == "text" {
			mode = escaped
		}
		return parseText(path, value, mode)
	case []any:
		compiled := make([]any, len(value))
		for i, item := range value {
			var err error
			if compiled[i], err = compileValue(fmt.Sprintf("%s[%d]", path, i), key, item); err != nil {
				return nil, err
			}
		}
		return compiled, nil
	case map[string]any:
		compiled := make(map[string]any, len(value))
		for _, name := range slices.Sorted(maps.Keys(value)) {
			var err error
			if compiled[name], err = compileValue(path+"."+name, name, value[name]); err != nil {
				return nil, err
			}
		}
		return compiled, nil
	}
	return value, nil
}

// posted is the body of the request (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
type posted struct {
	Text        string `json:"text"`
	Blocks      []any  `json:"blocks,omitempty"`
	UnfurlLinks bool   `json:"unfurl_links"`
	UnfurlMedia bool   `json:"unfurl_media"`
}

// render returns the body of the request for a delivery, within Slack's limits.
func (m *message) render(d sdk.Delivery) ([]byte, error) {
	data, err := dataOf(d)
	if err != nil {
		return nil, err
	}
	work := newBudget()
	p := posted{UnfurlLinks: m.unfurl, UnfurlMedia: m.unfurl}
	if p.Text, err = m.text.render(data, work); err != nil {
		return nil, err
	}
	if strings.TrimSpace(p.Text) == "" {
		p.Text = escape(d.Event) // Slack refuses a message without any
	}
	p.Text = clip(p.Text, maxText)
	for _, block := range m.blocks {
		rendered, err := renderValue(block, data, work)
		if err != nil {
			return nil, err
		}
		p.Blocks = append(p.Blocks, rendered)
	}
	p.Blocks = fitBlocks(p.Blocks)
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		return nil, fmt.Errorf("the message doesn't become JSON: %w", err)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

func renderValue(value any, data map[string]any, work *budget) (any, error) {
	switch value := value.(type) {
	case *text:
		return value.render(data, work)
	case []any:
		rendered := make([]any, len(value))
		for i, item := range value {
			var err error
			if rendered[i], err = renderValue(item, data, work); err != nil {
				return nil, err
			}
		}
		return rendered, nil
	case map[string]any:
		rendered := make(map[string]any, len(value))
		for name, item := range value {
			var err error
			if rendered[name], err = renderValue(item, data, work); err != nil {
				return nil, err
			}
		}
		return rendered, nil
	}
	return value, nil
}

// dataOf returns what templates see as "." .
func dataOf(d sdk.Delivery) (map[string]any, error) {
	var payload any
	if len(d.Payload) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(d.Payload))
		decoder.UseNumber() // numbers are shown as they were written
		if err := decoder.Decode(&payload); err != nil {
			return nil, fmt.Errorf("the payload is not JSON")
		}
	}
	return map[string]any{
		"payload":  payload,
		"event":    d.Event,
		"event_id": d.EventID,
		"delivery": d.ID,
		"attempt":  d.Attempt,
		"time":     d.Time.UTC().Format(time.RFC3339),
	}, nil
}
