package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine(info))

			return err
		},
	}
}

// versionLine says what was built, from which commit, by which Go and for what; info
// is nil when the build carries none.
func versionLine(info *debug.BuildInfo) string {
	version := "unknown"
	if info != nil && info.Main.Version != "" {
		version = info.Main.Version
	}
	parts := []string{"ssebridge " + version}
	if info != nil {
		settings := map[string]string{}
		for _, setting := range info.Settings {
			settings[setting.Key] = setting.Value
		}
		if revision := settings["vcs.revision"]; revision != "" {
			commit := "commit " + revision[:min(12, len(revision))]
			if settings["vcs.modified"] == "true" {
				commit += " with changes"
			}
			parts = append(parts, commit)
		}
	}
	parts = append(parts, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)

	return strings.Join(parts, ", ")
}
