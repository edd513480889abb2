package transcode

import (
	"fmt"
	"strings"

	"github.com/ssebridge/ssebridge/internal/nearest"
)

// nearestText suggests the nearest known name or, if none is near, lists the known names.
func nearestText(name string, known []string) string {
	const most = 12

	near := nearest.Name(name, known)

	switch {
	case near != "":
		return fmt.Sprintf("; did you mean %q?", near)
	case len(known) == 0:
		return "; it has none"
	case len(known) > most:
		return "; it has " + strings.Join(known[:most], ", ") + ", …"
	default:
		return "; it has " + strings.Join(known, ", ")
	}
}
