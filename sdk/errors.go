package sdk

import "fmt"

// InvalidArgumentsError is the error of arguments that a service doesn't take. The event is never tried again with them.
type InvalidArgumentsError struct {
	What string // a sentence that names the argument, and says what is wrong with it
}

// Error returns the sentence.
func (e *InvalidArgumentsError) Error() string { return e.What }

// InvalidArguments is what a [Method] returns for arguments that it can't take, although their types are right. A service that doesn't
// find what it is asked for returns another error instead, which is tried again: the application may not have committed yet.
func InvalidArguments(format string, args ...any) error {
	return &InvalidArgumentsError{What: fmt.Sprintf(format, args...)}
}

// permanentError marks an error that trying again can't change.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that trying again can't change: the event, or the delivery, becomes a dead letter at once. Permanent(nil)
// is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err: err}
}
