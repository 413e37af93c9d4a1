package post

import (
	"errors"
	"slices"
	"testing"
)

func TestWhatWasNotUsedForLongestGivesWay(t *testing.T) {
	var made, dropped []string
	k := keep[string](2, func(v string) { dropped = append(dropped, v) })
	get := func(key string) {
		t.Helper()
		value, err := k.get(key, func() (string, error) {
			made = append(made, key)
			return "of " + key, nil
		})
		if err != nil || value != "of "+key {
			t.Errorf("%s: got %q, %v", key, value, err)
		}
	}
	for _, key := range []string{"a", "b", "a", "c", "a", "b"} {
		get(key)
	}
	if want := []string{"a", "b", "c", "b"}; !slices.Equal(made, want) {
		t.Errorf("made %v, want %v", made, want)
	}
	if want := []string{"of b", "of c"}; !slices.Equal(dropped, want) {
		t.Errorf("dropped %v, want %v", dropped, want)
	}
	broken := errors.New("broken")
	if _, err := k.get("d", func() (string, error) { return "", broken }); err != broken {
		t.Errorf("got %v", err)
	}
	get("d") // an error is not kept
}
