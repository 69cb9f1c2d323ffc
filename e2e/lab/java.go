package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// javaSources has one small Maven project in each folder.
//
//go:embed java
var javaSources embed.FS

// prepareLimit bounds the preparation of one project, downloads included.
const prepareLimit = 10 * time.Minute

// Project is a Maven project of the lab, in one of its profiles.
type Project struct {
	// Dir is the folder below java; Profile is the Maven profile, empty for none.
	Dir, Profile string
}

// ProjectZooKeeper is a ZooKeeper 3.9 server.
func ProjectZooKeeper() Project { return Project{Dir: "zookeeper"} }

// ProjectDubbo is a provider and a consumer of a generation of Dubbo.
func ProjectDubbo(version DubboVersion) Project {
	return Project{Dir: "dubbo", Profile: "dubbo-" + string(version)}
}

// ProjectCurator is the client of the transcripts, Apache Curator.
func ProjectCurator() Project { return Project{Dir: "curator"} }

// ProjectNacos2 is a Nacos 2.2 server.
func ProjectNacos2() Project { return Project{Dir: "nacos2"} }

// ProjectNacos3 is a Nacos 3.1 server.
func ProjectNacos3() Project { return Project{Dir: "nacos3"} }

// Projects lists all projects of the lab, for the program that prepares them ahead of the tests.
func Projects() []Project {
	return []Project{
		ProjectZooKeeper(), ProjectEureka(), ProjectDubbo(Dubbo33), ProjectDubbo(Dubbo27), ProjectCurator(), ProjectSpring(),
		ProjectNacos2(), ProjectNacos3(),
	}
}

// Classpath returns the Java class path of a project, and prepares the project first when this was never done for its present content.
func Classpath(t testing.TB, p Project) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), prepareLimit)
	defer cancel()
	classpath, err := Prepare(ctx, p, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return classpath
}

// Prepare compiles a project and collects its jars in the cache folder, unless they are there, and returns its class path. It writes
// its progress to progress. Several processes may prepare at once: one works, the others wait.
func Prepare(ctx context.Context, p Project, progress io.Writer) (classpath string, err error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	id, err := p.id()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "java", id)
	classpath = filepath.Join(dir, "target", "classes") + ":" + filepath.Join(dir, "target", "dependency", "*")
	if isDir(dir) {
		return classpath, nil
	}

	unlock, err := lockFile(ctx, filepath.Join(cache, "java.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return classpath, nil // Another process prepared it while this one waited.
	}
	if err := requireJava(ctx, progress); err != nil {
		return "", err
	}
	if err := p.build(ctx, dir, progress); err != nil {
		return "", fmt.Errorf("prepare %s: %w", id, err)
	}
	return classpath, nil
}

// id names the project and its content: a change of either gives a new folder in the cache.
func (p Project) id() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(javaSources, path.Join("java", p.Dir), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "target":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		data, err := javaSources.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the lab project %q: %w", p.Dir, err)
	}
	name := p.Profile
	if name == "" {
		name = p.Dir
	}
	return name + "-" + hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// build works in a temporary folder and renames it to dir at the end, so that dir is complete or not there.
func (p Project) build(ctx context.Context, dir string, progress io.Writer) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return err
	}
	work, err := os.MkdirTemp(parent, ".building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	sources, err := fs.Sub(javaSources, path.Join("java", p.Dir))
	if err != nil {
		return err
	}
	if err := os.CopyFS(work, sources); err != nil {
		return fmt.Errorf("copy the sources: %w", err)
	}

	start := time.Now()
	fmt.Fprintf(progress, "lab: preparing %s (once; downloads from Maven Central)\n", filepath.Base(dir))
	args := []string{"-B", "-q", "--no-transfer-progress"}
	if p.Profile != "" {
		args = append(args, "-P", p.Profile)
	}
	args = append(args, "compile", "dependency:copy-dependencies")
	mvn := exec.CommandContext(ctx, "mvn", args...)
	mvn.Dir = work
	if output, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	if err := os.Chmod(work, 0o750); err != nil { //nolint:gosec // A folder, which needs its x bits.
		return err
	}
	if err := os.Rename(work, dir); err != nil {
		return err
	}
	fmt.Fprintf(progress, "lab: prepared %s in %v\n", filepath.Base(dir), time.Since(start).Round(100*time.Millisecond))
	return nil
}

// requireJava makes sure that java and mvn can be run. On a Debian machine and as root it installs what is missing.
func requireJava(ctx context.Context, progress io.Writer) error {
	packages := map[string]string{"java": "default-jdk-headless", "mvn": "maven"}
	var missing []string
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, packages[tool])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return install(ctx, progress, "a JDK (17 or newer) and Maven", missing...)
}

// install installs Debian packages with apt-get, where that is possible. What names for a person what is missing.
func install(ctx context.Context, progress io.Writer, what string, packages ...string) error {
	list := strings.Join(packages, " ")
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("the lab needs %s; on Debian: apt-get install %s", what, list)
	}
	fmt.Fprintf(progress, "lab: installing %s with apt-get\n", list)
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, apt, args...)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, output)
		}
	}
	return nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
