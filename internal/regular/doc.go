// Package regular reads the files that a configuration names, and the configuration
// itself. They are small and regular; anything else under such a name (a pipe without a
// writer, a device without an end, a file of gigabytes) must neither hold the process up
// nor fill its memory.
//
// It does not look at the content of a file.
package regular
