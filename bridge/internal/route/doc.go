// Package route is stage 1: it turns an HTTP request into the wire bytes of a request message whose
// type is known only at run time.
//
// The package has two halves. A [Table] finds the route of a request. It matches path templates in the
// syntax of google.api.http and methods, answers 404 and 405, and refuses two routes that match the
// same request. A [Binder] is compiled once for a route and fills the request message from these
// sources:
//
//	strongest   resume    the cursor and its constants, by [Resume]
//	     │      set       constants of the route
//	     │      path      variables of the template
//	     │      headers   HTTP headers bound to fields
//	 weakest    query and body, which may not set the same field
//
// A field bound by one of the upper rows is closed to the query and the body, under its JSON name and
// its proto name, nested too.
//
// The package is not a server: it knows nothing of event streams, sockets, configuration files or
// upstreams. Every client input ends in a message or in an [*Error] that names the field. No input
// makes the package panic. An error quotes and cuts the input that it repeats.
//
// Tables and binders are immutable and safe for concurrent use.
package route
