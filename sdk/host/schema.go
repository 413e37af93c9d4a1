package host

import (
	"encoding/json"

	"github.com/postrider/postrider/sdk/internal/schema"
)

// Schema is one of the JSON Schemas in a [Description]. Check refuses, with a [*SchemaMismatch], a document that doesn't fit; it names members
// and rules, never values.
type Schema = schema.Schema

// SchemaMismatch is the error of a document that doesn't fit its schema.
type SchemaMismatch = schema.Mismatch

// ParseSchema reads a schema; nil for an empty one. Those of a [Description] are known to be good.
func ParseSchema(raw json.RawMessage) (*Schema, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return schema.Parse(raw)
}
