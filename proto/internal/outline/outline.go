// Package outline writes down what of a protocol a plugin in the field depends on, a line for each call, field and value, and finds what a new version of it would
// break.
package outline

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Of returns the lines of a file, sorted. Names are in them as well as numbers: plugins are generated from them.
func Of(file protoreflect.FileDescriptor) []string {
	o := &outline{}
	for i := range file.Services().Len() {
		o.service(file.Services().Get(i))
	}
	o.messages(file.Messages())
	o.enums(file.Enums())
	slices.Sort(o.lines)
	return o.lines
}

// Missing returns the lines of before that after doesn't have: what was removed, renumbered, renamed or given another type.
func Missing(before, after []string) (gone []string) {
	for _, line := range before {
		if line != "" && !slices.Contains(after, line) {
			gone = append(gone, line)
		}
	}
	return gone
}

type outline struct{ lines []string }

func (o *outline) add(format string, args ...any) {
	o.lines = append(o.lines, fmt.Sprintf(format, args...))
}

func (o *outline) service(s protoreflect.ServiceDescriptor) {
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		o.add("call %s(%s%s) returns (%s%s)", m.FullName(), stream(m.IsStreamingClient()), m.Input().FullName(),
			stream(m.IsStreamingServer()), m.Output().FullName())
	}
}

func stream(is bool) string {
	if is {
		return "stream "
	}
	return ""
}

func (o *outline) messages(messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		o.add("message %s", m.FullName())
		for j := range m.Fields().Len() {
			o.field(m, m.Fields().Get(j))
		}
		o.messages(m.Messages())
		o.enums(m.Enums())
	}
}

func (o *outline) field(m protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) {
	kind := f.Kind().String()
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		kind = string(f.Message().FullName())
	case protoreflect.EnumKind:
		kind = string(f.Enum().FullName())
	}
	where := ""
	if one := f.ContainingOneof(); one != nil {
		where = " in " + string(one.Name())
	}
	o.add("field %s %d %s %s %s%s", m.FullName(), f.Number(), f.Name(), f.Cardinality(), kind, where)
}

func (o *outline) enums(enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			o.add("value %s %d %s", e.FullName(), v.Number(), v.Name())
		}
	}
}
