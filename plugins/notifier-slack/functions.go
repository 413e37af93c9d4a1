package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// markup is text that is for Slack already, and is not escaped any more.
type markup string

// escape makes text stand for itself in Slack's: of its three control characters, nothing is left that could be a link, a mention or a call of the
// whole channel (https://docs.slack.dev/messaging/formatting-message-text#escaping).
func escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// functions are what templates may call, at the cost of b. Those of text/template whose work nothing bounds, or that don't know what a number of the
// payload is, are replaced.
func (b *budget) functions(m mode) template.FuncMap {
	return template.FuncMap{
		stepCall:   b.step,
		showCall:   func(v any) (string, error) { return b.show(v, m) },
		"json":     b.json,
		"truncate": b.truncate,
		"link":     func(to, label any) (markup, error) { return b.link(to, label) },
		"date":     b.date,
		"print":    func(values ...any) (string, error) { return b.made(fmt.Sprint(printable(values)...)) },
		"println":  func(values ...any) (string, error) { return b.made(fmt.Sprintln(printable(values)...)) },
		"printf":   b.printf,
		"urlquery": func(v any) (string, error) { return b.made(url.QueryEscape(b.plain(v))) },
		"html": func(any) (string, error) {
			return "", errors.New("there is no html here: values are escaped for Slack by themselves")
		},
		"js": func(any) (string, error) { return "", errors.New("there is no js here: json makes JSON of a value") },
		"eq": b.equal,
		"ne": func(x, y any) (bool, error) {
			same, err := b.equal(x, y)
			return !same, err
		},
		"lt": func(x, y any) (bool, error) { return b.compare(x, y, func(c int) bool { return c < 0 }) },
		"le": func(x, y any) (bool, error) { return b.compare(x, y, func(c int) bool { return c <= 0 }) },
		"gt": func(x, y any) (bool, error) { return b.compare(x, y, func(c int) bool { return c > 0 }) },
		"ge": func(x, y any) (bool, error) { return b.compare(x, y, func(c int) bool { return c >= 0 }) },
	}
}

// made counts what a function has made.
func (b *budget) made(s string) (string, error) { return s, b.spend(len(s)) }

// show is how a value appears in the message.
func (b *budget) show(v any, m mode) (string, error) {
	if done, ok := v.(markup); ok && m == escaped {
		return string(done), b.spend(len(done))
	}
	s := b.plain(v)
	if m == escaped {
		s = escape(s)
	}
	return b.made(s)
}

// plain is a value as text: nothing for what isn't there, a number as the payload has it, JSON for objects and arrays.
func (b *budget) plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case markup:
		return string(v)
	case json.Number:
		return v.String()
	case map[string]any, []any:
		s, err := b.json(v)
		if err != nil {
			return "…"
		}
		return s
	}
	return fmt.Sprint(v)
}

// json is a value as indented JSON. It has no backtick in it, which could end a block of code.
func (b *budget) json(v any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return "", errors.New("json: the value doesn't become JSON")
	}
	s := strings.TrimSuffix(out.String(), "\n")
	if err := b.spend(len(s)); err != nil {
		return "", err
	}
	return strings.ReplaceAll(s, "`", `\u0060`), nil
}

// truncate shortens a value to n characters, the last of which says so.
func (b *budget) truncate(n int, v any) (string, error) {
	s := b.plain(v)
	if err := b.spend(len(s)); err != nil {
		return "", err
	}
	if n < 1 || utf8.RuneCountInString(s) <= n {
		return s, nil
	}
	at := 0
	for range n - 1 {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return s[:at] + "…", nil
}

// link is a link to an http, https or mailto address; to what is none it shows the label alone.
func (b *budget) link(to, label any) (markup, error) {
	target, shown := b.plain(to), strings.ReplaceAll(b.plain(label), "\n", " ")
	if err := b.spend(2 * (len(target) + len(shown))); err != nil {
		return "", err
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" || u.Host == "" && u.Opaque == "" {
		return markup(escape(shown)), nil
	}
	if shown == "" {
		shown = target
	}
	address := strings.NewReplacer("|", "%7C", "<", "%3C", ">", "%3E").Replace(u.String())
	return markup("<" + escape(address) + "|" + strings.ReplaceAll(escape(shown), "|", "¦") + ">"), nil
}

// date is a time of RFC 3339 that Slack shows in each reader's time zone (https://docs.slack.dev/messaging/formatting-message-text#date-formatting);
// what is no time is shown as it is.
func (b *budget) date(v any) (markup, error) {
	s := b.plain(v)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return markup(escape(s)), b.spend(len(s))
	}
	return markup(fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 MST"))), b.spend(64)
}

// printf has no verbs with a width or a precision given by an argument, or of more than two digits, which would make it cost what it likes.
func (b *budget) printf(format string, values ...any) (string, error) {
	for rest := format; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			break
		}
		rest = strings.TrimLeft(after, "+-# 0")
		digits := 0
		for len(rest) > 0 && (rest[0] == '.' || rest[0] == '*' || rest[0] == '[' || '0' <= rest[0] && rest[0] <= '9') {
			if digits++; digits > 5 || rest[0] == '*' || rest[0] == '[' {
				return "", errors.New("printf: a width and a precision have two digits at most")
			}
			rest = rest[1:]
		}
		rest = strings.TrimPrefix(rest, "%")
	}
	return b.made(fmt.Sprintf(format, printable(values)...))
}

// printable makes arguments for package fmt.
func printable(values []any) []any {
	shown := make([]any, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case json.Number:
			shown[i] = number(v)
		case nil:
			shown[i] = ""
		default:
			shown[i] = v
		}
	}
	return shown
}

// number is a number of the payload for package fmt: what it looks like depends on the verb.
type number string

// Format obeys %d, %f and their like, and shows the number as the payload has it with any other verb.
func (n number) Format(state fmt.State, verb rune) {
	format := fmt.FormatString(state, verb)
	switch verb {
	case 'd', 'x', 'X', 'o', 'b', 'c':
		if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
			fmt.Fprintf(state, format, i)
			return
		}
	case 'f', 'F', 'e', 'E', 'g', 'G':
		if f, err := strconv.ParseFloat(string(n), 64); err == nil {
			fmt.Fprintf(state, format, f)
			return
		}
	case 's', 'v', 'q':
		fmt.Fprintf(state, format, string(n))
		return
	}
	fmt.Fprint(state, string(n))
}

// equal reports whether x is one of the others; numbers are equal by value.
func (b *budget) equal(x any, others ...any) (bool, error) {
	for _, y := range others {
		if f, g, ok := numbers(x, y); ok {
			if f == g {
				return true, nil
			}
			continue
		}
		if !isComparable(x) || !isComparable(y) {
			return false, errors.New("eq: objects and arrays can't be compared")
		}
		if err := b.spend(16); err != nil {
			return false, err
		}
		if x == y {
			return true, nil
		}
	}
	return false, nil
}

func isComparable(v any) bool { return v == nil || reflect.TypeOf(v).Comparable() }

// compare orders two numbers, or two texts. What isn't there is neither.
func (b *budget) compare(x, y any, want func(int) bool) (bool, error) {
	if f, g, ok := numbers(x, y); ok {
		switch {
		case f < g:
			return want(-1), nil
		case f > g:
			return want(1), nil
		}
		return want(0), nil
	}
	s, isText := x.(string)
	t, too := y.(string)
	if isText && too {
		return want(strings.Compare(s, t)), b.spend(min(len(s), len(t)))
	}
	if x == nil || y == nil {
		return false, nil
	}
	return false, errors.New("two numbers or two texts can be ordered, nothing else")
}

// numbers returns x and y if both are numbers.
func numbers(x, y any) (f, g float64, ok bool) {
	f, isNumber := numberOf(x)
	g, too := numberOf(y)
	return f, g, isNumber && too
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
