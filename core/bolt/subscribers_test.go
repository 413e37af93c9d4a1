package bolt

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/postrider/postrider/core"
)

// A hundred thousand subscribers are made, found and changed without anything that grows with their square.
func BenchmarkMatchAmongAHundredThousandSubscribers(b *testing.B) {
	db, err := Open(Config{Path: filepath.Join(b.TempDir(), "postrider.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	const n = 100_000
	err = db.committer.do(&request{apply: func(w *write) error {
		for i := range n {
			number, err := w.subscribers.bucket.NextSequence()
			if err != nil {
				return err
			}
			s := core.Subscriber{ID: core.SubscriberID(number), Event: fmt.Sprintf("order.%d", i%1000), URL: "https://example.com", Enabled: true}
			if err := w.putSubscriber(s); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if got := len(db.Match("order.7", time.Now())); got != n/1000 {
			b.Fatalf("match: got %d, want %d", got, n/1000)
		}
	}
}

func TestTheTokenOfASubscriberIsInNoError(t *testing.T) {
	path := filled(t)
	file, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = file.Update(func(tx *bbolt.Tx) error {
		key := subscriberKey(1)
		return tx.Bucket(bucketSubscribers).Put(key, seal(key, encodeBytes([]byte(`{"token":"secret",`))))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{Path: path})
	wantError(t, err, "subscribers", "not JSON")
	for _, s := range []core.Subscriber{{Token: "secret", Settings: []byte("secret")}} {
		if _, encoding := encodeSubscriber(s); encoding == nil || !core.IsInvalid(encoding) {
			t.Errorf("settings that are not JSON: got %v, want them refused", encoding)
		} else {
			err = fmt.Errorf("%w %w", err, encoding)
		}
	}
	if got := err.Error(); strings.Contains(got, "secret") {
		t.Errorf("error %q holds the token", got)
	}
}
