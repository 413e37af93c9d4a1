package host

import "github.com/postrider/postrider/sdk/internal/garbage"

// BoundGarbage has Go's collector run as seldom in this process as in plugins, unless GOGC is in the environment: GOGC is 400 where next to nothing lives,
// and falls to Go's own 100 where so much does that the garbage would come to over 64 MiB. It is for processes that pass things on, as a daemon does.
func BoundGarbage() { garbage.Bound() }
