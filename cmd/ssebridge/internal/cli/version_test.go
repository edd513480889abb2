package cli

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersionNamesTheBuild(t *testing.T) {
	platform := ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH
	for name, tc := range map[string]struct {
		released string
		info     *debug.BuildInfo
		want     string
	}{
		"nothing known": {"", nil, "ssebridge unknown" + platform},
		"a module":      {"", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "ssebridge v1.2.3" + platform},
		"a release":     {"1.2.3", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "ssebridge 1.2.3" + platform},
		"a checkout": {"", &debug.BuildInfo{
			Main: debug.Module{Version: "(devel)"},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
				{Key: "vcs.modified", Value: "true"},
			},
		}, "ssebridge (devel), commit 0123456789ab with changes" + platform},
		"a short revision": {"", &debug.BuildInfo{
			Main:     debug.Module{Version: "(devel)"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "42"}, {Key: "vcs.modified", Value: "false"}},
		}, "ssebridge (devel), commit 42" + platform},
	} {
		t.Run(name, func(t *testing.T) {
			if got := versionLine(tc.released, tc.info); got != tc.want {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
		})
	}
}
