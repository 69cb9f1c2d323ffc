package zookeeper

import (
	"maps"
	"net"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source/dubboprovider"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/curator"
	"github.com/registry-bridge/registry-bridge/internal/source/zookeeper/dubboapp"
)

// registration is the node of an instance below an application. Dubbo and Spring Cloud share the root and even the application's node, so
// each node is told apart by itself.
type registration struct {
	*curator.Instance
	// dubbo says that Dubbo wrote it, and not Spring Cloud.
	dubbo bool
	// err is why the node cannot be understood; Instance is nil then.
	err error
}

// parseRegistration reads a node.
func parseRegistration(node string, data []byte) registration {
	inst, err := curator.Parse(data)
	if err != nil {
		return registration{err: err, dubbo: isPlace(node)}
	}
	_, revision := inst.Metadata[dubboapp.KeyRevision]
	_, endpoints := inst.Metadata[dubboapp.KeyEndpoints]
	return registration{Instance: inst, dubbo: revision || endpoints || strings.HasPrefix(inst.Class, "org.apache.dubbo.")}
}

// isPlace says whether a node is named as Dubbo names it, "host:port". Spring Cloud's default is a UUID.
func isPlace(node string) bool {
	at := strings.LastIndexByte(node, ':')
	if at <= 0 {
		return false
	}
	_, err := strconv.ParseUint(node[at+1:], 10, 16)
	return err == nil
}

// registrations returns the nodes of an application that Dubbo wrote, or those that it did not, by name.
func registrations(l lookup, app string, dubbo bool) map[string]registration {
	found := map[string]registration{}
	for _, node := range l.List(app) {
		if r, ok := l.Data(app + "/" + node).(registration); ok && r.dubbo == dubbo {
			found[node] = r
		}
	}
	return found
}

// malformed is what becomes of a node that cannot be understood.
func malformed(node string, err error) model.Instance {
	return model.Instance{ID: "malformed:" + node, Problem: reason.Problem(reason.MalformedName, err.Error())}
}

// maxMetadataProblem says that metadata is too large, empty when it is not.
func metadataProblem(size int) string {
	if size <= maxMetadata {
		return ""
	}
	return reason.Problem(reason.MetadataTooLarge, strconv.Itoa(size)+" bytes of metadata, at most "+strconv.Itoa(maxMetadata))
}

// portProblem says that a port cannot be one, empty when it can.
func portProblem(port int64) string {
	if port >= 1 && port <= maxPort {
		return ""
	}
	return reason.Problem(reason.PortOutOfRange, "port "+strconv.FormatInt(port, 10)+" is not between 1 and "+strconv.Itoa(maxPort))
}

// stableMetadata returns what may be metadata of an instance, shared, and its size.
func stableMetadata(metadata map[string]string, pool *metaPool) (map[string]string, int) {
	own := maps.Clone(metadata)
	size := dubboprovider.Metadata(own)
	if size > maxMetadata {
		return nil, size
	}
	return pool.share(own), size
}

func hostPort(host string, port int64) string {
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
