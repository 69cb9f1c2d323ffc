package dir

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/registry-bridge/registry-bridge/internal/sync/output"
	"github.com/registry-bridge/registry-bridge/internal/sync/output/outputtest"
)

// nobody is a user who owns nothing.
const nobody = 65534

func TestFolderThatCannotBeWritten(t *testing.T) {
	f := newFolder(t)
	d := f.open(t)
	if err := os.Chmod(f.path, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(f.path, 0o700) })
	if os.Geteuid() == 0 {
		// Root may write anywhere. The user for files is one of the thread, so only this test is somebody
		// else, who has the folder's lock as before.
		locks, err := filepath.Glob(filepath.Join(f.path, ".*.lock"))
		for _, lock := range locks {
			err = errors.Join(err, os.Chown(lock, nobody, -1))
		}
		err = errors.Join(err, os.Chmod(filepath.Dir(f.path), 0o711))
		if err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setfsuid(0); err != nil {
				t.Fatal(err)
			}
		}()
	}
	if err := apply(t, d, outputtest.Object("a.acme")); !errors.Is(err, output.ErrOutput) {
		t.Errorf("write: %v, want ErrOutput", err)
	}
}
