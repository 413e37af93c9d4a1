package bolt

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// A brief tree answers as its bucket would if everything had gone there at once, and once it has grown that is where everything is.
func TestABriefTreeHoldsWhatWasPutAndNotRemoved(t *testing.T) {
	t.Parallel()
	file, err := bbolt.Open(filepath.Join(t.TempDir(), "x"), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	err = file.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		if err != nil {
			return err
		}
		brief := tree{bucket: b, cursor: b.Cursor(), young: map[string][]byte{}}
		for n := range 20_000 {
			key := fmt.Sprintf("%04d", random.IntN(1000))
			value := fmt.Sprint(n)
			switch what := random.IntN(100); {
			case what < 60:
				if _, there := want[key]; there {
					err = brief.put([]byte(key), []byte(value))
				} else {
					brief.add([]byte(key), []byte(value))
				}
				want[key] = value
			case what < 98:
				err = brief.remove([]byte(key))
				delete(want, key)
			case what < 99:
				err = brief.grow()
			}
			if err != nil {
				return err
			}
			if got, there := brief.get([]byte(key)), want[key]; string(got) != there || (got == nil) != (there == "") {
				return fmt.Errorf("step %d: %q has %q, want %q", n, key, got, there)
			}
		}
		if len(brief.young) == 0 {
			return errors.New("nothing is young in the end: the test shows little")
		}
		if err := brief.grow(); err != nil {
			return err
		}
		got := map[string]string{}
		if err := b.ForEach(func(k, v []byte) error { got[string(k)] = string(v); return nil }); err != nil {
			return err
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("the bucket has %d keys, want %d: %v, want %v", len(got), len(want), got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
