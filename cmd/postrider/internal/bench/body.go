package bench

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// A payload begins with its number, in as many digits for every one: {"seq":"0007-0000001234","pad":"…"}. Four digits for the phase,
// so that what is late from the one before is told apart, ten for the event.
const (
	seqMark     = `"seq":"`
	phaseDigits = 4
	eventDigits = 10
	seqLength   = phaseDigits + 1 + eventDigits
)

// MinSize is the size of the smallest payload that holds its number, in bytes.
const MinSize = len(`{"seq":"0000-0000000000","pad":""}`)

func payload(size int) string {
	return `{"seq":"0000-0000000000","pad":"` + strings.Repeat("x", max(0, size-MinSize)) + `"}`
}

// template is a request body with slots for numbers.
type template struct {
	Content []byte
	Slots   []int
}

func newTemplate(content string) template {
	t := template{Content: []byte(content)}
	for from := 0; ; {
		i := strings.Index(content[from:], seqMark)
		if i < 0 {
			return t
		}
		from += i + len(seqMark)
		t.Slots = append(t.Slots, from)
	}
}

// eventBody is what POST /v1/events takes: an event, or an array of them.
func eventBody(event string, size, batch int) template {
	name, _ := json.Marshal(event) // a string always can
	one := `{"event":` + string(name) + `,"arguments":` + payload(size) + `}`
	if batch <= 1 {
		return newTemplate(one)
	}
	return newTemplate("[" + strings.TrimSuffix(strings.Repeat(one+",", batch), ",") + "]")
}

// clone returns a template that can be filled in beside this one.
func (t template) clone() template { return template{bytes.Clone(t.Content), t.Slots} }

// fill writes the numbers from first on into the slots.
func (t template) fill(phase, first int) {
	for i, at := range t.Slots {
		digits(t.Content[at:at+phaseDigits], phase)
		digits(t.Content[at+phaseDigits+1:at+seqLength], first+i)
	}
}

func digits(to []byte, n int) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
}

// eventNumber finds the number of a payload, wherever it is in a body.
func eventNumber(body []byte) (phase, event int, ok bool) {
	i := bytes.Index(body, []byte(seqMark))
	if i < 0 || len(body) < i+len(seqMark)+seqLength {
		return 0, 0, false
	}
	seq := body[i+len(seqMark):][:seqLength]
	phase, err := strconv.Atoi(string(seq[:phaseDigits]))
	if err != nil {
		return 0, 0, false
	}
	event, err = strconv.Atoi(string(seq[phaseDigits+1:]))
	return phase, event, err == nil
}
