// Command conformancetest answers protobuf's official conformance runner. It answers protobuf → JSON
// cases with package transcode alone, like the bridge, and reads the descriptors from the suite's
// .proto files at startup. The suite tests Any only in JSON → JSON cases; the command answers those
// with an Any, after protojson has read them, and skips all other cases.
//
// `make conformance` installs the runner and runs the command. The report counts the cases by their
// path through transcode, and lists each case that the library answered, with the reason.
package main
