// Package faultfs is a file system that fails as disks do: it loses what was not synced when the power goes, its syncs answer EIO, it runs out of
// space. It shows a real directory at a mount point; the programs under test run on the mount point, in another process, and know
// nothing of it. It needs Linux, root and FUSE. Start reading at [Mount].
//
// What a power cut leaves follows POSIX at its strictest. A write counts once its file was synced; of those since then, each sector of 512 bytes
// holds any of the versions that were written, so that pages tear and writes overtake each other. A file's growth counts from its sync, too.
// The entries of a directory (made, linked, renamed, removed) count once the directory was synced; of those since then, the disk has the
// first few, in order, as a journalling file system has.
package faultfs
