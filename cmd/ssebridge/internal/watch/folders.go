package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many symbolic links a name may go through, as in the kernel.
const maxLinks = 40

// folders are the folders in which something must happen for a name to stand for another
// file: where the file is, where each symbolic link on the way is, and, where the way ends
// because something is missing, where that would be.
func folders(file string) []string {
	name, err := filepath.Abs(file)
	if err != nil {
		name = filepath.Clean(file)
	}
	var found []string
	at := filepath.VolumeName(name) + string(filepath.Separator)
	left := parts(name[len(at)-1:])
	for links := 0; len(left) > 0; {
		here := filepath.Join(at, left[0])
		info, err := os.Lstat(here)
		switch {
		case err != nil: // missing, or not to be looked at
			return append(found, at)
		case info.Mode()&os.ModeSymlink != 0:
			found = append(found, at)
			target, err := os.Readlink(here)
			if links++; err != nil || links > maxLinks {
				return found
			}
			if filepath.IsAbs(target) {
				at = filepath.VolumeName(target) + string(filepath.Separator)
				target = target[len(at)-1:]
			}
			left = slices.Concat(parts(target), left[1:])
		case len(left) == 1:
			return append(found, at)
		default:
			at, left = here, left[1:]
		}
	}
	return found
}

// parts are the names on a way, without the empty ones and those that stay where they are.
func parts(way string) []string {
	all := strings.Split(filepath.ToSlash(way), "/")
	return slices.DeleteFunc(all, func(part string) bool { return part == "" || part == "." })
}
