// Package config is the YAML configuration of ssebridge: its structs, defaults, strict decoding and
// validation. It knows nothing of gRPC, HTTP or the stages that use a configuration. Of this module it
// imports only helpers that know nothing of those either: internal/nearest and internal/regular.
//
// A configuration goes through four steps, each of which can be used alone:
//
//  1. [Load] and [Parse] decode a file into a [Config] that has only the written keys. They report
//     all errors of the file at once.
//  2. [Config.Validate] checks everything that needs no schema. It also works for a Config filled in
//     Go.
//  3. [Config.WithDefaults] adds the defaults of all missing keys.
//  4. [File.Locate] adds the file, line and column to an [Error] that is found later, by its Path.
//
// In a Config the zero value of a field means its default. If the zero value has a meaning of its own
// (a heartbeat of 0s is off, an event id of "" is no ids), the field is a pointer, and nil means the
// default.
package config
