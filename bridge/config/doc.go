// Package config is the YAML of ssebridge: its structs, its defaults, its strict
// decoding and its validation. It knows nothing of gRPC, of HTTP or of the stages
// that a configuration is turned into, and imports nothing else of this module.
//
// A configuration goes through four steps, each of which can be used alone:
//
//  1. [Load] and [Parse] decode a file into a [Config] that holds what is written
//     and nothing else, with every error of the file at once.
//  2. [Config.Validate] checks what can be checked without a schema. It works as
//     well for a Config that was filled in Go.
//  3. [Config.WithDefaults] gives what holds for every key that was left out.
//  4. [File.Locate] gives an [Error] that was found later, by its Path, the file,
//     the line and the column it belongs to.
//
// In a Config the zero value of a field means its default. Where the zero value
// says something of its own (a heartbeat of 0s is off, an event id of "" is no
// ids), the field is a pointer: nil is the default, a set pointer is taken as it is.
package config
