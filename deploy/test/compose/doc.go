// Package compose tests deploy/compose by Compose's own loader.
package compose
