package httpapi

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/postrider/postrider/core"
)

// maxPublishErrors is how many mistakes in a batch are told at once.
const maxPublishErrors = 20

// batch collects the events of an array, or what is wrong with them. It wants no more once nothing more could change its answer.
type batch struct {
	events   []core.Event         // as they are answered
	out      []core.Outgoing      // each id once
	known    map[core.EventID]int // which of the events it is
	errors   []FieldError
	conflict *Problem // between two of its events; it outweighs the errors
}

// add takes an event, and returns whether the batch wants another.
func (b *batch) add(event core.Event) (more bool) {
	event.Arguments = bytes.Clone(event.Arguments) // or one waiting event would keep the memory of its whole batch
	index, repeated := b.known[event.ID]
	if !repeated {
		b.known[event.ID] = len(b.events)
		b.out = append(b.out, outgoing(event))
	} else if earlier := b.events[index]; earlier.Name != event.Name || !bytes.Equal(earlier.Arguments, event.Arguments) {
		b.conflict = problemf(http.StatusConflict, "event [%d] has the id %q of an earlier event of this batch, with other content: "+
			"nothing was accepted; give it an id of its own", len(b.events), event.ID)
		return false
	}
	b.events = append(b.events, event)
	return true
}

// refuse takes what is wrong with an event, and returns whether the batch wants another.
func (b *batch) refuse(err error) (more bool) {
	b.errors = append(b.errors, indexed(len(b.events), err)...)
	b.events = append(b.events, core.Event{}) // those behind it keep their index
	return len(b.errors) < maxPublishErrors
}

// failed returns why nothing of the batch is to be accepted, or nil.
func (b *batch) failed() error {
	if b.conflict != nil {
		return b.conflict
	}
	if len(b.errors) == 0 {
		return nil
	}
	problem := problemf(http.StatusUnprocessableEntity, "nothing of the batch was accepted: %s: %s", b.errors[0].Field, b.errors[0].Message)
	problem.Errors = b.errors
	return problem
}

// indexed puts the index of the event before the fields that err names.
func indexed(index int, err error) []FieldError {
	prefix := "[" + strconv.Itoa(index) + "]"
	fields := invalidFields(err)
	for i := range fields {
		fields[i].Field = strings.TrimSuffix(prefix+"."+fields[i].Field, ".")
	}
	if len(fields) == 0 {
		fields = []FieldError{{Field: prefix, Message: err.Error()}}
	}
	return fields
}
