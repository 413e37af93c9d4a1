package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// What one message may cost. Templates are written by whoever may create a subscriber, and payloads have up to 4 MiB: neither may hold up the
// others. Nobody needs a tenth of it.
const (
	maxSteps  = 10_000   // runs of a loop's body, and of templates
	maxWork   = 16 << 20 // bytes that functions read or make
	maxOutput = 64 << 10 // bytes of one template; Slack takes less
)

// mode says what becomes of a value that a template puts out.
type mode bool

const (
	plain   mode = false // it stands for itself
	escaped mode = true  // it is text to Slack
)

// text is one template. Its language is that of text/template, but for three things: values are escaped without being asked to, a value that isn't
// there is nothing, and work is bounded.
type text struct {
	path     string
	template *template.Template
	mode     mode
}

// The calls that [guard] adds.
const (
	showCall = "_show" // of each value that is put out
	stepCall = "_step" // of each run of a loop's body, or of a template
)

// parseText reads a template. An error names path, and the line.
func parseText(path, source string, m mode) (*text, error) {
	t, err := template.New(path).Funcs(new(budget).functions(m)).Parse(source)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	for _, defined := range t.Templates() {
		if defined.Tree != nil && defined.Root != nil {
			guard(defined.Root)
			step(defined.Root)
		}
	}
	return &text{path: path, template: t, mode: m}, nil
}

// guard has every value shown by a call of ours, and every run of a loop counted.
func guard(node parse.Node) {
	switch node := node.(type) {
	case *parse.ListNode:
		if node == nil {
			return
		}
		for _, n := range node.Nodes {
			guard(n)
		}
	case *parse.ActionNode:
		if len(node.Pipe.Decl) == 0 {
			node.Pipe.Cmds = append(node.Pipe.Cmds, call(showCall, node.Pos))
		}
	case *parse.IfNode:
		guard(node.List)
		guard(node.ElseList)
	case *parse.WithNode:
		guard(node.List)
		guard(node.ElseList)
	case *parse.RangeNode:
		guard(node.List)
		guard(node.ElseList)
		step(node.List)
	}
}

// step has a run of the list counted.
func step(list *parse.ListNode) {
	count := &parse.ActionNode{NodeType: parse.NodeAction, Pos: list.Pos, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Pos: list.Pos, Cmds: []*parse.CommandNode{call(stepCall, list.Pos)},
	}}
	list.Nodes = append([]parse.Node{count}, list.Nodes...)
}

func call(name string, at parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: []parse.Node{parse.NewIdentifier(name).SetPos(at)}}
}

// render runs the template. What it puts out beyond [maxOutput] is cut off. Its error names the template and the place in it.
func (t *text) render(data map[string]any, work *budget) (string, error) {
	run, err := t.template.Clone()
	if err != nil {
		return "", fmt.Errorf("%s: %w", t.path, err)
	}
	var out output
	err = run.Funcs(work.functions(t.mode)).Execute(&out, data)
	if err != nil && !errors.Is(err, errFull) {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD"), nil
}

// errFull ends a template that has put out all that is wanted.
var errFull = errors.New("that is enough")

// output is what a template has put out.
type output struct{ bytes.Buffer }

func (o *output) Write(p []byte) (int, error) {
	if room := maxOutput - o.Len(); len(p) > room {
		o.Buffer.Write(p[:room])
		return room, errFull
	}
	return o.Buffer.Write(p)
}

// budget is what is left of a message's work.
type budget struct{ steps, bytes int }

func newBudget() *budget { return &budget{steps: maxSteps, bytes: maxWork} }

// step takes note of one run of a loop's body.
func (b *budget) step() (string, error) {
	if b.steps--; b.steps < 0 {
		return "", fmt.Errorf("the templates of a message may loop %d times in all: show less of the payload", maxSteps)
	}
	return "", nil
}

// spend takes note of n bytes of work.
func (b *budget) spend(n int) error {
	if b.bytes -= n; b.bytes < 0 {
		return fmt.Errorf("the templates of a message may work on %d MiB in all: show less of the payload", maxWork>>20)
	}
	return nil
}
