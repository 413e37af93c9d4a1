package httpapi

import (
	"bytes"
	"encoding/json"

	"github.com/postrider/postrider/core"
)

// keepSecrets returns settings with what was there before wherever they hold [core.Hidden]: whoever reads a subscriber, changes something, and writes it
// back has not seen its secrets. A place that had nothing before is refused.
func keepSecrets(settings, before json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(settings, []byte(core.Hidden)) {
		return settings, nil
	}
	var given, stored any
	if err := decodeNumbers(settings, &given); err != nil {
		return settings, nil // who checks them says what is wrong
	}
	if len(before) > 0 {
		if err := decodeNumbers(before, &stored); err != nil {
			return nil, err
		}
	}
	kept, err := keep(given, stored, "")
	if err != nil {
		return nil, err
	}
	return json.Marshal(kept)
}

func decodeNumbers(document json.RawMessage, value *any) error {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	return d.Decode(value)
}

// keep walks through what is given and what is stored side by side.
func keep(given, stored any, path string) (any, error) {
	switch given := given.(type) {
	case string:
		if given != core.Hidden {
			return given, nil
		}
		if stored == nil {
			return nil, core.Invalidf("settings", "setting %q is %s, which stands for the secret that was there, and there was none: give one", path, core.Hidden)
		}
		return stored, nil
	case map[string]any:
		members, _ := stored.(map[string]any)
		for name, member := range given {
			inner, err := keep(member, members[name], joined(path, name))
			if err != nil {
				return nil, err
			}
			given[name] = inner
		}
	case []any:
		items, _ := stored.([]any)
		for i, item := range given {
			var at any
			if i < len(items) {
				at = items[i]
			}
			inner, err := keep(item, at, path)
			if err != nil {
				return nil, err
			}
			given[i] = inner
		}
	}
	return given, nil
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
