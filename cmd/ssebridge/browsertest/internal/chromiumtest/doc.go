// Package chromiumtest starts a real Chromium for tests of other packages. Chromium must be
// installed: a test that cannot start it fails instead of being skipped.
package chromiumtest
