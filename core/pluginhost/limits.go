package pluginhost

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"time"

	"github.com/postrider/postrider/sdk/host"
)

// Limits keep the processes of one plugin within bounds. The zero Limits set none.
type Limits struct {
	User   string // name or number of the user that they run as; only a daemon of root can choose
	Memory int64  // bytes; a process that keeps more for itself is ended and started again
	Files  int    // descriptors that one may have open
}

const (
	// memoryInterval is the time between two looks at the memory of a process that is limited in it.
	memoryInterval = time.Second
	// collectBefore is how much of its memory Go's collector tries to stay within, of 100, before the process is ended for using more.
	collectBefore = 90
)

// boundsOf turns limits into what a process is launched with. The errors complete the sentence "plugins.NAME.…".
func boundsOf(l Limits) (host.Limits, error) {
	bounds := host.Limits{Files: l.Files, Memory: l.Memory / 100 * collectBefore}
	if (l.Memory > 0 || l.Files > 0) && runtime.GOOS != "linux" {
		return bounds, errors.New("memory and files can be limited on Linux only")
	}
	if l.User == "" {
		return bounds, nil
	}
	known, err := lookUp(l.User)
	if err != nil {
		return bounds, err
	}
	switch us := os.Geteuid(); {
	case us == known.ID:
		return bounds, nil
	case us != 0:
		return bounds, fmt.Errorf("user: only a daemon that root runs can run plugins as another user, and this one runs as user %d", us)
	}
	bounds.User = known
	return bounds, nil
}

// lookUp finds a user by name or number.
func lookUp(name string) (*host.User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		found, err = user.LookupId(name)
	}
	if err != nil {
		return nil, fmt.Errorf("user: there is no user %q on this machine", name)
	}
	id, err := strconv.Atoi(found.Uid)
	if err != nil {
		return nil, fmt.Errorf("user: %q has the id %q, which is not a number", name, found.Uid)
	}
	group, err := strconv.Atoi(found.Gid)
	if err != nil {
		return nil, fmt.Errorf("user: %q has the group %q, which is not a number", name, found.Gid)
	}
	return &host.User{ID: id, Group: group, Home: found.HomeDir}, nil
}

// nobodyAtAll is who may do the least on most systems.
var nobodyAtAll = host.User{ID: 65534, Group: 65534, Home: "/"}

// bounds has what each plugin is launched with.
type bounds struct {
	known    map[string]host.Limits // by described name
	stranger host.Limits            // for a file that hasn't said yet what it is: where any plugin has a user, not with root's rights
}

func newBounds(limits map[string]Limits) (bounds, error) {
	b := bounds{known: make(map[string]host.Limits)}
	var problems []error
	for name, l := range limits {
		one, err := boundsOf(l)
		if err != nil {
			problems = append(problems, fmt.Errorf("plugins.%s.%w", name, err))
		}
		if one.User != nil {
			b.stranger.User = &nobodyAtAll
		}
		b.known[name] = one
	}
	return b, errors.Join(problems...)
}

// of returns what a plugin of that name is launched with; "": one that nobody knows.
func (b bounds) of(name string) host.Limits {
	if name == "" {
		return b.stranger
	}
	return b.known[name]
}

func sameBounds(a, b host.Limits) bool {
	if a.Files != b.Files || a.Memory != b.Memory || (a.User == nil) != (b.User == nil) {
		return false
	}
	return a.User == nil || *a.User == *b.User
}

// overweight returns why a process is to be ended for the memory that it uses; nil: it isn't.
func (h *Host) overweight(w *worker) error {
	known, _ := w.identity()
	limit := h.config.Limits[known.Name].Memory
	if limit <= 0 {
		return nil
	}
	used, err := w.process.Memory()
	if err != nil || used <= limit { // a process that is gone uses none
		return nil
	}
	return fmt.Errorf("it kept %d MiB of memory, more than the %d MiB of plugins.%s.memory, and was ended", used>>20, limit>>20, known.Name)
}
