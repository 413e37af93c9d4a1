//go:build race

package dispatch

// defaultSeeds is how many seeds a simulation runs with the race detector.
const defaultSeeds = 600
