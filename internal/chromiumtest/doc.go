// Package chromiumtest starts a real Chromium for tests of other packages. It must be
// installed: a test that cannot start it fails, and does not pass by being left out.
package chromiumtest
