package httpapi

import (
	"errors"
	"strconv"
	"time"
)

// How the values of filters are read. The checks are made once per search; the readers after them can't fail any more.

func number(value string) int64 {
	n, _ := strconv.ParseInt(value, 10, 64)
	return n
}

func checkNumber(value string) error {
	if _, err := strconv.ParseInt(value, 10, 64); err != nil {
		return errors.New("it must be a whole number")
	}
	return nil
}

func asNumber(flag bool) int {
	if flag {
		return 1
	}
	return 0
}

func flagNumber(value string) int { return asNumber(value == "1" || value == "true") }

func checkFlag(value string) error {
	switch value {
	case "0", "1", "true", "false":
		return nil
	}
	return errors.New("it must be 1 or 0")
}

// parseTime reads what Magento writes, a date alone, or RFC 3339. Without a zone it is UTC.
func parseTime(value string) (time.Time, error) {
	for _, layout := range []string{magentoTime, time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("it must be a time in UTC, as 2006-01-02 15:04:05")
}
