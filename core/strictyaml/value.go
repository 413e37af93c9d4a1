// Package strictyaml reads YAML that people wrote, and says exactly where they went wrong.
//
// A [Value] is a piece of a document that knows its place. Whoever reads a document walks it from [Parse] through [Value.Fields],
// [Value.Items] and [Value.Text], refuses keys it doesn't know with [Value.Errorf], and so can report every mistake of a file at once, each with
// file and line. Keys that stand twice, keys that are not text, and merge keys are refused here.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/postrider/postrider/core/spelling"
)

// Value is a piece of a document. The zero Value stands for an empty document.
type Value struct {
	node   *yaml.Node // nil: nothing was written
	source string     // the file, or what else the text came from
	inline bool       // a line within source would mean nothing
}

// Parse reads one YAML document in UTF-8, which came from the file source.
func Parse(source string, content []byte) (Value, error) {
	return parse(Value{source: source}, content)
}

// ParseInline reads YAML from somewhere that has no lines worth naming, such as an environment variable.
func ParseInline(source, text string) (Value, error) {
	return parse(Value{source: source, inline: true}, []byte(text))
}

// parse reads one document into v, which says where it came from.
func parse(v Value, content []byte) (Value, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return v, nil
	case err != nil:
		return Value{}, v.syntaxError(err)
	}
	v.node = document.Content[0]
	switch err := decoder.Decode(&second); {
	case err == nil:
		return Value{}, v.within(&second).Errorf("a second document begins here: write everything into one, without \"---\"")
	case !errors.Is(err, io.EOF):
		return Value{}, v.syntaxError(err)
	}
	return v, nil
}

// Text makes a Value of text that is not YAML, from a source such as an environment variable.
func Text(source, text string) Value {
	return Value{source: source, inline: true, node: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}}
}

// List makes a Value of texts that are not YAML.
func List(source string, texts []string) Value {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, text := range texts {
		list.Content = append(list.Content, Text(source, text).node)
	}
	return Value{source: source, inline: true, node: list}
}

// syntaxError puts the line of the parser's message where it belongs.
func (v Value) syntaxError(err error) error {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		if number, sentence, ok := strings.Cut(rest, ": "); ok {
			line, _ = strconv.Atoi(number)
			what = sentence
		}
	}
	switch {
	case v.inline || strings.HasPrefix(what, "unknown anchor"): // the latter has no line at all
		return fmt.Errorf("%s: not YAML: %s", v.source, what)
	case grammatical.MatchString(what) || line == 0:
		line++ // yaml counts lines from 0 in messages of its grammar, and leaves out a 0 in all messages
	}
	return fmt.Errorf("%s:%d: not YAML, here or nearby: %s", v.source, line, what)
}

// grammatical matches the messages of yaml's grammar, which is the layer above its scanner.
var grammatical = regexp.MustCompile(`^did not find expected (<|key|node content|',' or|'-' indicator)`)

// Place says where the value stands: file and line.
func (v Value) Place() string {
	if v.inline || v.node == nil || v.node.Line == 0 {
		return v.source
	}
	return v.source + ":" + strconv.Itoa(v.node.Line)
}

// Errorf makes an error about the value that begins with its place.
func (v Value) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", v.Place(), fmt.Errorf(format, args...))
}

// IsNull reports whether nothing stands here: an empty document, an empty value, or null.
func (v Value) IsNull() bool {
	node := v.resolved()
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// resolved follows an alias to what it stands for.
func (v Value) resolved() *yaml.Node {
	if v.node != nil && v.node.Kind == yaml.AliasNode {
		return v.node.Alias // never an alias itself
	}
	return v.node
}

// within returns the value of a node of the same document.
func (v Value) within(node *yaml.Node) Value {
	return Value{node: node, source: v.source, inline: v.inline}
}

// Field is a key of a mapping, and what stands under it.
type Field struct {
	Key   string
	At    Value // the key itself, for messages about it
	Value Value
}

// Fields returns the keys of a mapping in the order of the document; none where the value is null. All keys that are wrong are reported
// together, and the others returned beside the error.
func (v Value) Fields() ([]Field, error) {
	if v.IsNull() {
		return nil, nil
	}
	node := v.resolved()
	if node.Kind != yaml.MappingNode {
		return nil, v.Errorf("there is %s here, where keys with values belong, as \"key: value\"", v.what())
	}
	var (
		fields []Field
		errs   []error
		seen   = map[string]Value{}
	)
	for i := 0; i+1 < len(node.Content); i += 2 {
		at, value := v.within(node.Content[i]), v.within(node.Content[i+1])
		key := at.resolved()
		switch {
		case key.ShortTag() == "!!merge":
			errs = append(errs, at.Errorf("merge keys (<<) are not supported: write the keys out"))
			continue
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			errs = append(errs, at.Errorf("a key must be text: put %s in quotes", at.what()))
			continue
		}
		if first, ok := seen[key.Value]; ok {
			errs = append(errs, at.Errorf("%q stands here again, and first at %s: remove one", key.Value, first.Place()))
			continue
		}
		seen[key.Value] = at
		fields = append(fields, Field{Key: key.Value, At: at, Value: value})
	}
	return fields, errors.Join(errs...)
}

// Unknown makes the error about a key that doesn't belong where it stands. owner names what it stands in, known lists the keys of that.
func (f Field) Unknown(owner string, known []string) error {
	return f.At.Errorf("unknown key %q%s: %s has %s", f.Key, spelling.DidYouMean(f.Key, known), owner, strings.Join(known, ", "))
}

// Keys returns what stands under the known keys of a mapping; the zero Value under one that is missing. Any other key is an error, where owner
// names what the mapping is.
func (v Value) Keys(owner string, known ...string) (map[string]Value, error) {
	fields, err := v.Fields()
	errs := []error{err}
	values := map[string]Value{}
	for _, field := range fields {
		values[field.Key] = field.Value
		if !slices.Contains(known, field.Key) {
			errs = append(errs, field.Unknown(owner, known))
		}
	}
	return values, errors.Join(errs...)
}

// Items returns the entries of a list; none where the value is null.
func (v Value) Items() ([]Value, error) {
	if v.IsNull() {
		return nil, nil
	}
	node := v.resolved()
	if node.Kind != yaml.SequenceNode {
		return nil, v.Errorf("there is %s here, where a list belongs, as [one, two]", v.what())
	}
	items := make([]Value, len(node.Content))
	for i, item := range node.Content {
		items[i] = v.within(item)
	}
	return items, nil
}

// Text returns a plain value as it is written: text, a number, true or false.
func (v Value) Text() (string, error) {
	if v.IsNull() || v.resolved().Kind != yaml.ScalarNode {
		return "", v.Errorf("there is %s here, where plain text belongs", v.what())
	}
	return v.resolved().Value, nil
}

// what describes the value to the person who wrote it.
func (v Value) what() string {
	if v.IsNull() {
		return "nothing"
	}
	switch node := v.resolved(); node.Kind {
	case yaml.MappingNode:
		return "a mapping (\"key: value\")"
	case yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(node.Value)
	}
}
