package fields

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestEveryMemberOfASchemaIsListed(t *testing.T) {
	got, err := List(json.RawMessage(`{"type":"object","required":["url"],"additionalProperties":false,"$defs":{"name":{"type":"string","description":"a name"}},
	"properties":{
		"after":  {"type":["null","string"],"format":"date"},
		"count":  {"type":"integer","default":3,"title":"how many"},
		"either": {"oneOf":[{"type":"string"},{"type":"array","items":{"type":"string"}},{"type":"string"}]},
		"any":    {"type":"object","additionalProperties":{}},
		"free":   {},
		"heads":  {"type":"object","additionalProperties":{"type":"string"}},
		"mode":   {"enum":["a","b"]},
		"owner":  {"$ref":"#/$defs/name"},
		"rules":  {"properties":{"retry":{"type":"array","items":{"type":"string"}}}},
		"steps":  {"type":"array","items":{"type":"object","required":["to"],"properties":{"to":{"type":"string"}},"additionalProperties":false}},
		"url":    {"type":"string","description":"where"}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Field{
		{Path: "url", Type: "string", Required: true, Description: "where"},
		{Path: "after", Type: "string (date)"},
		{Path: "any", Type: "object"},
		{Path: "count", Type: "integer", Default: "3", Description: "how many"},
		{Path: "either", Type: "string or array of string"},
		{Path: "free", Type: "anything"},
		{Path: "heads", Type: "object"},
		{Path: "heads.*", Type: "string"},
		{Path: "mode", Type: `"a" or "b"`},
		{Path: "owner", Type: "string", Description: "a name"},
		{Path: "rules", Type: "object"},
		{Path: "rules.retry", Type: "array of string"},
		{Path: "steps", Type: "array of object"},
		{Path: "steps[].to", Type: "string", Required: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestASchemaThatContainsItselfEnds(t *testing.T) {
	got, err := List(json.RawMessage(`{"$defs":{"node":{"properties":{"next":{"$ref":"#/$defs/node"},"all":{"type":"array","items":{"$ref":"#/$defs/node"}}}}},
		"properties":{"first":{"$ref":"#/$defs/node"},"loop":{"$ref":"#/$defs/loop"}}}`))
	if err != nil || len(got) < 2 || len(got) > 1000 || !slices.ContainsFunc(got, func(f Field) bool { return strings.HasSuffix(f.Path, "all[].next") }) {
		t.Errorf("got %d fields, %v", len(got), err)
	}
}

func TestNoSchemaHasNoFieldsAndABadOneIsAnError(t *testing.T) {
	if got, err := List(nil); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := List(json.RawMessage(`{"type":7}`)); err == nil || !strings.Contains(err.Error(), "not a JSON Schema") {
		t.Errorf("got %v", err)
	}
}
