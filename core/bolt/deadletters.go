package bolt

import (
	"context"

	"github.com/postrider/postrider/core"
)

func (w *write) logDeadLetter(l core.DeadLetter) error {
	if err := w.resurrect(l.ID); err != nil {
		return err
	}
	if err := w.put(w.dead, []byte(l.ID), encodeDeadLetter(l)); err != nil {
		return err
	}
	return w.index(w.deadTime, deadTimeKey(l))
}

// resurrect takes a dead letter away, if it is there.
func (w *write) resurrect(id string) error {
	key := []byte(id)
	value := w.dead.get(key)
	if value == nil {
		return nil
	}
	l, err := decodeDeadLetter(key, value)
	if err != nil {
		return err
	}
	if err := w.remove(w.deadTime, deadTimeKey(l)); err != nil {
		return err
	}
	return w.remove(w.dead, key)
}

// RemoveDeadLetter forgets a dead letter for good, or returns an error wrapping [core.ErrNotFound].
func (db *DB) RemoveDeadLetter(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.committer.do(&request{
		essential: true, // makes room
		size:      256,
		check: func(w *write) error {
			if w.dead.get([]byte(id)) == nil {
				return unknownDeadLetter(id)
			}
			return nil
		},
		apply: func(w *write) error { return w.resurrect(id) },
	})
}
