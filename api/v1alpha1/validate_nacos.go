package v1alpha1

import (
	"fmt"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What Nacos accepts in names of namespaces, groups and clusters.
var (
	nacosNamespace = regexp.MustCompile(`^[\w-]{1,128}$`)
	nacosGroup     = regexp.MustCompile(`^[\w.:-]{1,128}$`)
	nacosCluster   = regexp.MustCompile(`^[0-9a-zA-Z-]{1,64}$`)
	nacosRegion    = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
)

func validateNacos(n *Nacos, path *field.Path) field.ErrorList {
	errs := validateNacosServers(n, path)
	if !strings.HasPrefix(n.ContextPath, "/") || strings.ContainsAny(n.ContextPath, "?# \t\n") {
		errs = append(errs, field.Invalid(path.Child("contextPath"), n.ContextPath, "needs to be a path, e.g. /nacos"))
	}
	if n.AuthSecretRef != nil {
		errs = append(errs, validateRefName(n.AuthSecretRef.Name, path.Child("authSecretRef", "name"), "nacos")...)
	}
	if n.LoginScheme != "" {
		errs = append(errs, oneOf(path.Child("loginScheme"), n.LoginScheme, NacosLoginHTTP, NacosLoginHTTPS)...)
		if n.AuthSecretRef == nil {
			errs = append(errs, field.Forbidden(path.Child("loginScheme"), "is for authSecretRef, which is not set"))
		}
	}
	if k := n.AccessKey; k != nil {
		p := path.Child("accessKey")
		if n.AuthSecretRef != nil {
			errs = append(errs, field.Forbidden(p, "stands beside authSecretRef; a server knows one of the two"))
		}
		errs = append(errs, validateRefName(k.SecretRef.Name, p.Child("secretRef", "name"), "nacos")...)
		if k.Region != "" && !nacosRegion.MatchString(k.Region) {
			errs = append(errs, field.Invalid(p.Child("region"), k.Region, "needs to be the name of a region, e.g. cn-hangzhou"))
		}
	}
	if n.TLS != nil {
		errs = append(errs, validateTLS(n.TLS, path.Child("tls"))...)
	}
	for i, cluster := range n.Clusters {
		if !nacosCluster.MatchString(cluster) {
			errs = append(errs, field.Invalid(path.Child("clusters").Index(i), cluster, "needs at most 64 letters, digits and '-', e.g. DEFAULT"))
		}
	}
	errs = append(errs, unique(n.Clusters, path.Child("clusters"))...)
	errs = append(errs, oneOf(path.Child("layout"), n.Layout,
		NacosAuto, NacosSpringCloud, NacosDubboInterface, NacosDubboApplication, NacosPlain)...)
	return append(errs, validateNacosScopes(n.Scopes, path.Child("scopes"))...)
}

func validateNacosServers(n *Nacos, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	servers := path.Child("servers")
	if len(n.Servers) == 0 {
		errs = append(errs, field.Required(servers, `needs at least one server, e.g. ["nacos:8848"]`))
	}
	for i, server := range n.Servers {
		if problem := nacosServerProblem(server); problem != "" {
			errs = append(errs, field.Invalid(servers.Index(i), server, problem))
		} else if problem := grpcPortProblem(server, n.GRPCPortOffset); problem != "" {
			errs = append(errs, field.Invalid(path.Child("grpcPortOffset"), *n.GRPCPortOffset, problem))
		}
	}
	return append(errs, unique(n.Servers, servers)...)
}

// nacosServerProblem says what is wrong with a host:port, empty for nothing.
func nacosServerProblem(server string) string {
	const example = "e.g. nacos:8848"
	switch problem := serverProblem(server); {
	case problem == "":
		return ""
	case strings.Contains(server, "://"):
		return "needs host:port, " + example + ", without a scheme; TLS is turned on by spec.source.nacos.tls"
	case strings.Contains(server, "/"):
		return "needs host:port, " + example + "; a path goes into spec.source.nacos.contextPath"
	default:
		return strings.NewReplacer("zk:2181", "nacos:8848", ":2181", ":8848").Replace(problem)
	}
}

// grpcPortProblem says why there is no gRPC port of a server, empty when there is one.
func grpcPortProblem(server string, offset *int32) string {
	_, port, err := net.SplitHostPort(server)
	if err != nil || offset == nil {
		return ""
	}
	http, err := strconv.Atoi(port)
	if grpc := http + int(*offset); err == nil && (grpc < 1 || grpc > math.MaxUint16) {
		return fmt.Sprintf("puts the gRPC port of %s at %d, which is no port", server, grpc)
	}
	return ""
}

func validateNacosScopes(scopes []NacosScope, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range scopes {
		s, p := &scopes[i], path.Index(i)
		switch {
		case !nacosNamespace.MatchString(s.Namespace):
			errs = append(errs, field.Invalid(p.Child("namespace"), s.Namespace, "needs to be the id of a namespace: letters, digits, '_' and '-', e.g. public"))
		case seen[s.Namespace]:
			errs = append(errs, field.Duplicate(p.Child("namespace"), s.Namespace))
		}
		seen[s.Namespace] = true
		for j, group := range s.Groups {
			if !nacosGroup.MatchString(group) {
				errs = append(errs, field.Invalid(p.Child("groups").Index(j), group, "needs letters, digits, '_', '-', '.' and ':', e.g. DEFAULT_GROUP"))
			}
		}
		errs = append(errs, unique(s.Groups, p.Child("groups"))...)
	}
	return errs
}
