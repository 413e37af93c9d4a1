package core

import (
	"errors"
	"fmt"
)

// Kinds of errors that programs tell apart. Wrap them; compare with [errors.Is].
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")      // the id exists already, with other content
	ErrNoSpace     = errors.New("no space left") // nothing was accepted; free some space
	ErrUnavailable = errors.New("unavailable")   // not now; nothing was accepted; try again later
	ErrTooLarge    = errors.New("too large")
	ErrPermanent   = errors.New("can never work") // trying again changes nothing: dead-letter at once
	ErrClosed      = errors.New("closed")
	ErrDamaged     = errors.New("damaged") // what is stored can't be what was once written: trying again changes nothing until a backup is brought back
)

// Invalid is the error of input that can never be accepted as it stands.
type Invalid struct {
	Field string // which part of the input, in the words of the API
	What  string // what is wrong with it and what to do, a sentence for people
}

// Error returns the sentence.
func (e *Invalid) Error() string { return e.What }

// Invalidf makes an [*Invalid] about field.
func Invalidf(field, format string, args ...any) error {
	return &Invalid{Field: field, What: fmt.Sprintf(format, args...)}
}

// IsInvalid reports whether err is about input that can never be accepted as it stands.
func IsInvalid(err error) bool {
	var invalid *Invalid
	return errors.As(err, &invalid)
}
