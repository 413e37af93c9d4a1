package host

import "github.com/postrider/postrider/sdk/internal/garbage"

// BoundGarbage sets how seldom Go's collector runs in this process, as it is set in plugins: GOGC 400 where next to nothing lives, down to Go's own
// 100 where so much does that the garbage would come to over 64 MiB. For processes that pass things on; where GOGC is in the environment, leave it at that.
func BoundGarbage() { garbage.Bound() }
