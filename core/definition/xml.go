package definition

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postrider/postrider/core/spelling"
)

// element says what may stand in one kind of element.
type element struct {
	attributes, children []string
}

// elements is the grammar of webhooks.xml. "" stands for the document.
var elements = map[string]element{
	"":        {children: []string{"config"}},
	"config":  {children: []string{"webhook"}},
	"webhook": {attributes: []string{"hook_name", "payload"}, children: []string{"service"}},
	"service": {attributes: []string{"class", "method"}},
}

// xmlReader walks one file, and keeps what it finds and what is wrong.
type xmlReader struct {
	path    string
	decoder *xml.Decoder
	line    int      // where the token that was read last begins
	open    []string // names of the elements around
	found   []written
	errs    []error
}

// parseXML returns what a webhooks.xml defines, in its order, and beside it all that is wrong with the file. Namespaces, and the attributes
// that name a schema, are taken as they come.
func parseXML(path string, content []byte) ([]written, error) {
	content = bytes.TrimPrefix(content, []byte("\uFEFF")) // editors on Windows leave a byte order mark
	r := &xmlReader{path: path, decoder: xml.NewDecoder(bytes.NewReader(content))}
	r.decoder.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("the encoding %s is not supported: save the file as UTF-8", charset)
	}
	for r.next() {
	}
	return r.found, errors.Join(r.errs...)
}

// wrong keeps an error about the token that was read last.
func (r *xmlReader) wrong(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %w", r.place(), fmt.Errorf(format, args...)))
}

func (r *xmlReader) place() string { return fmt.Sprintf("%s:%d", r.path, r.line) }

// next reads one token. It reports whether there may be more.
func (r *xmlReader) next() bool {
	r.line, _ = r.decoder.InputPos()
	token, err := r.decoder.Token()
	if errors.Is(err, io.EOF) {
		return false
	}
	if err != nil {
		r.malformed(err)
		return false
	}
	switch token := token.(type) {
	case xml.StartElement:
		return r.start(token)
	case xml.EndElement:
		r.open = r.open[:len(r.open)-1]
	case xml.CharData:
		if text := strings.TrimSpace(string(token)); text != "" {
			before, _, _ := strings.Cut(string(token), text)
			r.line += strings.Count(before, "\n")
			r.wrong("there is text here that means nothing: %q", text[:min(len(text), 40)])
		}
	}
	return true
}

func (r *xmlReader) malformed(err error) {
	what := strings.TrimPrefix(err.Error(), "xml: ")
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		r.line, what = syntax.Line, syntax.Msg
	}
	r.wrong("not XML: %s", what)
}

// start reads the start of an element. What stands within one that cannot be used is skipped: it would only repeat the complaint.
func (r *xmlReader) start(start xml.StartElement) bool {
	around := ""
	if len(r.open) > 0 {
		around = r.open[len(r.open)-1]
	}
	name := start.Name.Local
	if known := elements[around].children; !slices.Contains(known, name) {
		r.wrong("unknown element <%s>%s: %s", name, spelling.DidYouMean(name, known), places(around, known))
		return r.skip()
	}
	values := r.attributes(start)
	switch name {
	case "webhook":
		if _, ok := values["hook_name"]; !ok {
			r.wrong(`this webhook has no name: write it as hook_name="entity.verb"`)
			return r.skip()
		}
		r.found = append(r.found, written{name: values["hook_name"], place: r.place(), payload: values["payload"]})
	case "service":
		r.service(values)
	}
	r.open = append(r.open, name)
	return true
}

// skip reads on to behind the element whose start was read last. It reports whether there may be more.
func (r *xmlReader) skip() bool {
	if err := r.decoder.Skip(); err != nil {
		r.malformed(err)
		return false
	}
	return true
}

// places says what belongs into an element, or the document.
func places(around string, known []string) string {
	if around == "" {
		return "the whole file is one <config>"
	}
	if len(known) == 0 {
		return fmt.Sprintf("a <%s> holds none", around)
	}
	return fmt.Sprintf("a <%s> holds <%s>", around, strings.Join(known, ">, <"))
}

func (r *xmlReader) service(values map[string]string) {
	w := &r.found[len(r.found)-1]
	if w.service {
		r.wrong("webhook %q has a second service: remove one", w.name)
		return
	}
	w.service, w.class, w.method = true, values["class"], values["method"]
}

// attributes returns the attributes that mean something here.
func (r *xmlReader) attributes(start xml.StartElement) map[string]string {
	known := elements[start.Name.Local].attributes
	values := map[string]string{}
	for _, attribute := range start.Attr {
		name := attribute.Name.Local
		switch _, twice := values[name]; {
		case attribute.Name.Space != "" || name == "xmlns":
			continue // xmlns:xsi, xsi:noNamespaceSchemaLocation and their like
		case !slices.Contains(known, name):
			has := "has none"
			if len(known) > 0 {
				has = "has " + strings.Join(known, ", ")
			}
			r.wrong("unknown attribute %q%s: a <%s> %s", name, spelling.DidYouMean(name, known), start.Name.Local, has)
		case twice:
			r.wrong("the attribute %q stands here twice: remove one", name)
		default:
			values[name] = attribute.Value
		}
	}
	return values
}
