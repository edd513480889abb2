package main

import "context"

func writeMarkdown(context.Context, string, settings, []*report) error { return nil }
