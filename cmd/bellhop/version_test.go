package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionFrom(t *testing.T) {
	commit := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{
			{Key: "vcs.revision", Value: "9f1c2ab34de05d7c9f1c2ab34de05d7c9f1c2ab3"}, {Key: "vcs.modified", Value: modified},
		}
	}
	for _, tt := range []struct {
		name, set, want string
		info            *debug.BuildInfo
	}{
		{"set by the build", "v1.2.3", "v1.2.3", &debug.BuildInfo{Main: debug.Module{Version: "v9.9.9"}}},
		{"a module's version", "", "v1.4.0", &debug.BuildInfo{Main: debug.Module{Version: "v1.4.0"}, Settings: commit("false")}},
		{"a commit", "", "9f1c2ab34de0", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: commit("false")}},
		{"a changed commit", "", "9f1c2ab34de0-dirty", &debug.BuildInfo{Settings: commit("true")}},
		{"nothing known", "", "dev", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}},
		{"no build information", "", "dev", nil},
	} {
		if got := versionFrom(tt.set, tt.info); got != tt.want {
			t.Errorf("versionFrom(%s) = %q, want %q", tt.name, got, tt.want)
		}
	}
}
