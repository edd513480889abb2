// Package tokens verifies JSON Web Tokens (RFC 7519) of one or several issuers, each by its own keys.
package tokens
