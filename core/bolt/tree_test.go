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

// A tree keeps its cursor while its bucket changes under it: from one that lies in its parent's page to one of many pages, whole runs of which are emptied.
func TestATreeAnswersAsItsBucketDoesWhateverChangedInTheTransaction(t *testing.T) {
	t.Parallel()
	file, err := bbolt.Open(filepath.Join(t.TempDir(), "x"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	random := rand.New(rand.NewPCG(3, 4))
	key := func(n int) []byte { return fmt.Appendf(nil, "%032d", n) }
	want := map[string]string{}
	const keys, transactions = 2000, 48
	for n := range transactions {
		err := file.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			tree := tree{bucket: b, cursor: b.Cursor()}
			if n%2 == 1 {
				tree.young = map[string][]byte{}
			}
			for range 1 + random.IntN(6) {
				// A run of keys: so are pages filled, and emptied.
				from, length := random.IntN(keys), 1+random.IntN(min(keys, 1<<(n/4)))
				puts := random.IntN(5) < 2
				for k := from; k < min(keys, from+length); k++ {
					name, value := key(k), fmt.Sprint(n, k)
					_, there := want[string(name)]
					switch {
					case !puts:
						err = tree.remove(name)
						delete(want, string(name))
					case there || tree.young == nil:
						err = tree.put(name, []byte(value))
						want[string(name)] = value
					default:
						tree.add(name, []byte(value))
						want[string(name)] = value
					}
					if err != nil {
						return err
					}
					asked := key(random.IntN(keys))
					if got, value := tree.get(asked), want[string(asked)]; string(got) != value || (got == nil) != (value == "") {
						return fmt.Errorf("%q has %q, want %q", asked, got, value)
					}
				}
				if random.IntN(3) == 0 {
					if err := tree.grow(); err != nil {
						return err
					}
				}
			}
			return tree.grow()
		})
		if err == nil {
			err = file.View(func(tx *bbolt.Tx) error {
				got := map[string]string{}
				err := tx.Bucket([]byte("b")).ForEach(func(k, v []byte) error { got[string(k)] = string(v); return nil })
				if !maps.Equal(got, want) {
					return fmt.Errorf("the bucket has %d keys, want %d: %v, want %v", len(got), len(want), got, want)
				}
				return err
			})
		}
		if err != nil {
			t.Fatalf("transaction %d: %v", n, err)
		}
	}
}
