// Package route is stage 1: it turns an HTTP request into the wire bytes of a
// request message whose type is known only at run time.
//
// The package has two halves. A [Table] finds the route of a request: path
// templates as google.api.http writes them, methods, 404 and 405, and the
// refusal of two routes that would match the same request. A [Binder] is
// compiled once for a route and fills the request message:
//
//	strongest   resume    the cursor and its constants, by [Resume]
//	     │      set       constants of the route
//	     │      path      variables of the template
//	     │      headers   HTTP headers bound to fields
//	 weakest    query and body, which must not meet in a field
//
// A field bound by one of the upper rows is closed to the query and the body,
// under its JSON and its proto name, nested too.
//
// The package is not a server: it knows nothing of event streams, sockets,
// configuration files or upstreams. Any input of a client ends in a message or in
// an [*Error] that names the field; none makes the package panic, and an error
// quotes and cuts what it repeats.
//
// Tables and binders are immutable once made and are shared by goroutines.
package route
