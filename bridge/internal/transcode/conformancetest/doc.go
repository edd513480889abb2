// Command conformancetest is what protobuf's official conformance runner talks to: it answers protobuf → JSON cases by
// package transcode alone, as the bridge would, with descriptors that it reads from the suite's .proto files when it
// starts. Any is tried by the suite in JSON → JSON cases only; of those it answers the ones that hold an Any, after
// protojson has read them. All other cases are skipped.
//
// `make conformance` installs the runner and runs it. The report says how many cases took which way through transcode,
// and lists each that the library had to answer, with the reason.
package main
