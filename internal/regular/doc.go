// Package regular reads the files that a configuration names, and the configuration
// itself. They are small regular files. Anything else under such a name (a pipe without a
// writer, an endless device, a file of gigabytes) must neither block the process nor fill its
// memory.
//
// The package does not interpret the content of a file.
package regular
