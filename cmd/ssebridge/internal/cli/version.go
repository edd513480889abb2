package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ssebridge/ssebridge/internal/release"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print which build this is",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine(release.Version(), info))
			return err
		},
	}
}

// versionLine names the build's version, commit, Go and platform. released is the version of
// a release, "" of any other build; info is nil when the build carries none.
func versionLine(released string, info *debug.BuildInfo) string {
	version := cmp.Or(buildVersion(released, info), "unknown")
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

// buildVersion returns the version of a build: that of the release, or as far as Go knows it.
func buildVersion(released string, info *debug.BuildInfo) string {
	if released != "" || info == nil {
		return released
	}
	return info.Main.Version
}
