//go:build !race

package dispatch

// defaultSeeds is how many seeds a simulation runs.
const defaultSeeds = 10_000
