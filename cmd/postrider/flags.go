package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError says of a flag that can't be read what it takes, rather than which function could not read it.
func flagError(_ *cobra.Command, err error) error {
	invalid := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &invalid) {
		return usageError{err}
	}
	takes := ""
	switch invalid.GetFlag().Value.Type() {
	case "uint":
		takes = "a whole number from 0"
	case "int", "int64":
		takes = "a whole number"
	case "float64":
		takes = "a number"
	case "bool":
		takes = "true or false"
	case "duration":
		takes = "a time, as 30s or 5m"
	default:
		return usageError{err}
	}
	return usagef("--%s %q can't be read: it takes %s", invalid.GetFlag().Name, invalid.GetValue(), takes)
}
