package schema_test

import (
	"encoding/json"
	"testing"

	"github.com/postrider/postrider/sdk/internal/schema"
)

// password is a type that is never shown.
type password string

func (password) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type":"string","writeOnly":true}`)
}

func TestWhatIsWriteOnlyIsHidden(t *testing.T) {
	type login struct {
		User     string   `json:"user,omitempty"`
		Password password `json:"password,omitempty" jsonschema:"a secret"`
	}
	s := derive[struct {
		Login  *login              `json:"login,omitempty"`
		Logins []login             `json:"logins,omitempty"`
		Keys   map[string]password `json:"keys,omitempty"`
		Number json.Number         `json:"number,omitempty"`
	}](t)
	const document = `{"keys":{"a":"s"},"login":{"password":"s","user":"u"},"logins":[{"user":"v"},{"password":"s"}],"number":1.50,"old":"w"}`
	for want, known := range map[string]*schema.Schema{
		`{"keys":{"a":"#"},"login":{"password":"#","user":"u"},"logins":[{"user":"v"},{"password":"#"}],"number":1.50,"old":"w"}`: s,
		`{"keys":{"a":"#"},"login":{"password":"#","user":"#"},"logins":[{"user":"#"},{"password":"#"}],"number":1.50,"old":"#"}`: nil,
	} {
		if got := known.Hide(json.RawMessage(document), "#"); string(got) != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	if got := s.Hide(json.RawMessage(`{"login":`), "#"); got != nil {
		t.Errorf("no JSON: got %s", got)
	}
}
