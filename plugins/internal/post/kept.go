package post

import (
	"container/list"
	"sync"
)

// kept holds what is costly to make and used again, by what it was made of: up to most of them, and then the one that was not used for longest gives
// way. It may be used from any number of goroutines at once.
type kept[K comparable, V any] struct {
	most int
	drop func(V) // is told of what gave way, which may still be in use; may be nil

	mu     sync.Mutex
	recent list.List // of *entry[K, V], the one used last in front
	byKey  map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func keep[K comparable, V any](most int, drop func(V)) *kept[K, V] {
	return &kept[K, V]{most: most, drop: drop, byKey: make(map[K]*list.Element)}
}

// get returns what was made of key before, or what make makes now. Its errors are not kept. It makes one at a time: making is work, and not waiting.
func (k *kept[K, V]) get(key K, make func() (V, error)) (V, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.byKey[key]; ok {
		k.recent.MoveToFront(e)
		return e.Value.(*entry[K, V]).value, nil
	}
	value, err := make()
	if err != nil {
		return value, err
	}
	k.byKey[key] = k.recent.PushFront(&entry[K, V]{key, value})
	if k.recent.Len() > k.most {
		oldest := k.recent.Remove(k.recent.Back()).(*entry[K, V])
		delete(k.byKey, oldest.key)
		if k.drop != nil {
			k.drop(oldest.value)
		}
	}
	return value, nil
}
