// Package auth says who a request comes from, and whether a route admits it. It knows HTTP requests and
// claims, and neither gRPC nor event streams. How a credential is verified is the matter of a Provider,
// such as package tokens.
package auth
