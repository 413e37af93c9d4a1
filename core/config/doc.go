// Package config finds out how a daemon is to run: defaults, a YAML file over them, POSTRIDER_* variables over that, flags over all.
//
// Start reading at [Config], what comes out, and [Load], which makes it. What there is to set stands in one table, settings.go; a file,
// a variable and a flag are three ways to the same entry. A mistake is reported with its place (file and line, variable, or flag), all mistakes
// together, and an unknown key with what was probably meant.
package config
