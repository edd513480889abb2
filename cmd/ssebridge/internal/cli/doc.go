// Package cli is the ssebridge command: its subcommands, their flags, the listeners
// and the order in which things start and stop. Serving is package bridge's
// business; signals are main's, which cancels the context that commands run under.
package cli
