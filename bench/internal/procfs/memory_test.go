package procfs

import (
	"os"
	"syscall"
	"testing"
)

func TestPeakIsTheMostMemorySinceItsReset(t *testing.T) {
	const size = 64 << 20
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	filled, err := Resident(os.Getpid())
	if err != nil || filled < size {
		t.Errorf("%d bytes are resident, of them %d filled: %v", filled, size, err)
	}
	if err := syscall.Munmap(memory); err != nil {
		t.Fatal(err)
	}
	before, err := Peak(os.Getpid())
	if err != nil || before < size {
		t.Errorf("the peak is %d after %d bytes were filled: %v", before, size, err)
	}
	if err := ResetPeak(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	after, err := Peak(os.Getpid())
	if err != nil || after > before-size/2 || after == 0 {
		t.Errorf("the peak was %d, and is %d after its reset: %v", before, after, err)
	}
	if _, err := Peak(1 << 30); err == nil {
		t.Error("a process that does not exist has a peak")
	}
}
