// Package deflate makes gzip streams (RFC 1952) of pieces that are compressed
// once and sent to many clients.
//
// A client's stream is a header, then pieces in any number, then an end:
//
//	AppendHeader  (AppendBlocks | AppendStored | Heartbeat)*  AppendEnd
//
// Each piece is a whole number of deflate blocks (RFC 1951) that begins and
// ends at a byte, so pieces can be put one behind another without knowing of
// each other. A piece that was made with a dictionary decodes to what it was
// made of only where the dictionary is what the client's decoder put out last;
// anywhere else it decodes, without an error, to something else. Which piece a
// client may get is for the caller to know.
//
// The end of a stream carries a checksum of all that was compressed. Sum
// computes it from those of the pieces, without looking at their bytes again.
//
// The encoder is klauspost/compress's StatelessDeflate, which begins again at each
// piece, behind a given dictionary. The package keeps no encoder and no stream:
// it knows neither clients nor frames.
package deflate
