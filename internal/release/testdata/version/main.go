// Command version prints the version that it was released as.
package main

import (
	"fmt"

	"github.com/ssebridge/ssebridge/internal/release"
)

func main() { fmt.Print(release.Version()) }
