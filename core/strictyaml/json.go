package strictyaml

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// What a value may hold to be turned into JSON. Aliases can make a short document huge, or endless.
const (
	maxDepth  = 100
	maxValues = 100_000
)

// JSON returns the value as JSON, its keys in the order of the document. Dates stay the text that was written; what JSON cannot say (binary
// data, infinity) is refused.
func (v Value) JSON() (json.RawMessage, error) {
	return v.JSONWith("", func(_ Value, _, text string) (string, error) { return text, nil })
}

// JSONWith is JSON with what text returns in the place of each text of a value, which is at, under path: that of v, and the keys and indexes below
// it, as "plugins.http.headers[0]".
func (v Value) JSONWith(path string, text func(at Value, path, text string) (string, error)) (json.RawMessage, error) {
	w := &jsonWriter{text: text, path: path}
	if err := w.write(v, 0); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

type jsonWriter struct {
	out    bytes.Buffer
	values int
	path   string // of what is being written
	text   func(at Value, path, text string) (string, error)
}

// below writes a value under a key, or an index, of the one that is being written.
func (w *jsonWriter) below(step string, v Value, depth int) error {
	path := w.path
	w.path += step
	defer func() { w.path = path }()
	return w.write(v, depth)
}

func (w *jsonWriter) write(v Value, depth int) error {
	if w.values++; depth > maxDepth || w.values > maxValues {
		return v.Errorf("this goes deeper than %d levels, or has more than %d values: is there an alias (*) that contains itself?", maxDepth, maxValues)
	}
	if v.IsNull() {
		w.out.WriteString("null")
		return nil
	}
	switch v.resolved().Kind {
	case yaml.MappingNode:
		return w.writeObject(v, depth)
	case yaml.SequenceNode:
		return w.writeArray(v, depth)
	default:
		return w.writeScalar(v)
	}
}

func (w *jsonWriter) writeObject(v Value, depth int) error {
	fields, err := v.Fields()
	if err != nil {
		return err
	}
	w.out.WriteByte('{')
	for i, field := range fields {
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.encode(field.At, field.Key); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.below("."+field.Key, field.Value, depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

func (w *jsonWriter) writeArray(v Value, depth int) error {
	items, err := v.Items()
	if err != nil {
		return err
	}
	w.out.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			w.out.WriteByte(',')
		}
		if err := w.below("["+strconv.Itoa(i)+"]", item, depth+1); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}

func (w *jsonWriter) writeScalar(v Value) error {
	node := v.resolved()
	var typed any
	switch tag := node.ShortTag(); tag {
	case "!!str", "!!timestamp":
		text, err := w.text(v, w.path, node.Value)
		if err != nil {
			return err
		}
		typed = text
	case "!!bool", "!!int", "!!float":
		if err := node.Decode(&typed); err != nil {
			return v.Errorf("%q is not a value of the type %s", node.Value, tag)
		}
	default:
		return v.Errorf("a value of the type %s has no place here: write text, a number, true or false", tag)
	}
	if f, ok := typed.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return v.Errorf("%q is not a number that JSON knows", node.Value)
	}
	return w.encode(v, typed)
}

func (w *jsonWriter) encode(v Value, scalar any) error {
	raw, err := json.Marshal(scalar)
	if err != nil {
		return v.Errorf("%w", err)
	}
	w.out.Write(raw)
	return nil
}
