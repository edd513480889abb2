// Package cors says which pages of other origins may read an answer (Fetch Standard, section 3.3). It
// knows requests and headers, and neither routes nor streams.
package cors
