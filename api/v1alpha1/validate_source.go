package v1alpha1

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateSource checks the union of registries: exactly one member, and that by a function of its own.
func validateSource(s *Source, path *field.Path) field.ErrorList {
	members := []member{
		{"zookeeper", checkMember(s.ZooKeeper, validateZooKeeper)},
		{"consul", checkMember(s.Consul, validateConsul)},
		{"eureka", checkMember(s.Eureka, validateEureka)},
		{"http", checkMember(s.HTTP, validateHTTP)},
		{"file", checkMember(s.File, validateFile)},
		{"nacos", checkMember(s.Nacos, validateNacos)},
	}
	members = slices.DeleteFunc(members, func(m member) bool { return m.check == nil })
	switch len(members) {
	case 0:
		return field.ErrorList{field.Required(path, `needs exactly one registry, e.g. zookeeper: {servers: ["zk:2181"]}`)}
	case 1:
		return members[0].check(path.Child(members[0].name))
	}
	return field.ErrorList{field.Forbidden(path.Child(members[1].name), "stands beside "+members[0].name+"; each registry needs a Registry of its own")}
}

// member is one registry of the union: its field, and what checks it.
type member struct {
	name  string
	check func(*field.Path) field.ErrorList
}

// checkMember returns what checks a member that is set, and nil for one that is not.
func checkMember[T any](set *T, validate func(*T, *field.Path) field.ErrorList) func(*field.Path) field.ErrorList {
	if set == nil {
		return nil
	}
	return func(path *field.Path) field.ErrorList { return validate(set, path) }
}

func validateZooKeeper(z *ZooKeeper, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	servers := path.Child("servers")
	if len(z.Servers) == 0 {
		errs = append(errs, field.Required(servers, `needs at least one server, e.g. ["zk:2181"]`))
	}
	for i, server := range z.Servers {
		if problem := serverProblem(server); problem != "" {
			errs = append(errs, field.Invalid(servers.Index(i), server, problem))
		}
	}
	errs = append(errs, unique(z.Servers, servers)...)
	if z.Chroot != "" {
		errs = append(errs, validateNodePath(z.Chroot, path.Child("chroot"), "/prod")...)
	}
	if a := z.Auth; a != nil {
		p := path.Child("auth", "digestSecretRef")
		if a.DigestSecretRef == nil {
			errs = append(errs, field.Required(p, "needs the secret with the keys username and password; or remove auth"))
		} else {
			errs = append(errs, validateRefName(a.DigestSecretRef.Name, p.Child("name"), "zk-digest")...)
		}
	}
	if z.TLS != nil {
		errs = append(errs, validateTLS(z.TLS, path.Child("tls"))...)
	}
	if d := z.SessionTimeout; d != nil && (d.Duration < time.Second || d.Duration > 10*time.Minute) {
		errs = append(errs, field.Invalid(path.Child("sessionTimeout"), d.Duration.String(), "needs to be between 1s and 10m, e.g. 30s"))
	}
	return append(errs, validateLayouts(z.Layouts, path.Child("layouts"))...)
}

// serverProblem says what is wrong with a host:port, empty for nothing.
func serverProblem(server string) string {
	const hint = "needs host:port, e.g. zk:2181"
	switch {
	case strings.Contains(server, "://"):
		return hint + ", without a scheme; TLS is turned on by spec.source.zookeeper.tls"
	case strings.Contains(server, "/"):
		return hint + "; a path goes into spec.source.zookeeper.chroot"
	case strings.ContainsAny(server, ",; \t\n"):
		return hint + "; each server is an entry of its own"
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		if strings.Count(server, ":") > 1 {
			return hint + ", with brackets around an IPv6 address, e.g. [2001:db8::1]:2181"
		}
		return hint
	}
	if host == "" {
		return hint
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "needs a port between 1 and 65535, e.g. zk:2181"
	}
	if strings.Contains(host, ":") {
		if len(validation.IsValidIP(nil, host)) > 0 {
			return "needs a valid IPv6 address in the brackets, e.g. [2001:db8::1]:2181"
		}
		return ""
	}
	// Compose and Docker allow underscores in host names, and resolvers take them.
	if len(validation.IsDNS1123Subdomain(strings.ReplaceAll(strings.ToLower(host), "_", "-"))) > 0 {
		return "needs a host name or an IP address before the port, e.g. zk:2181"
	}
	return ""
}

func validateLayouts(layouts []ZooKeeperLayout, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := make([]string, len(layouts))
	type place struct {
		layout ZooKeeperLayoutType
		root   string
	}
	places := map[place]int{}
	for i := range layouts {
		l, p := &layouts[i], path.Index(i)
		names[i] = l.Name
		if len(validation.IsDNS1123Label(l.Name)) > 0 {
			errs = append(errs, field.Invalid(p.Child("name"), l.Name, "needs at most 63 lower-case letters, digits and '-', e.g. dubbo"))
		}
		errs = append(errs, oneOf(p.Child("type"), l.Type, LayoutDubboInterface, LayoutDubboApplication, LayoutSpringCloud)...)
		errs = append(errs, validateNodePath(l.Root, p.Child("root"), "/dubbo")...)
		if first, seen := places[place{l.Type, l.Root}]; seen {
			errs = append(errs, field.Invalid(p.Child("root"), l.Root, "is already read by "+path.Index(first).String()+"; remove one of them"))
		} else {
			places[place{l.Type, l.Root}] = i
		}
		switch meta := p.Child("metadataRoot"); {
		case l.Type == LayoutDubboApplication:
			errs = append(errs, validateNodePath(l.MetadataRoot, meta, "/dubbo")...)
		case l.MetadataRoot != "":
			errs = append(errs, field.Forbidden(meta, "is for layouts of type DubboApplication only; remove it"))
		}
	}
	return append(errs, uniqueNames(names, path)...)
}

// validateNodePath checks a path by ZooKeeper's rules.
func validateNodePath(node string, path *field.Path, example string) field.ErrorList {
	problem := ""
	switch {
	case !strings.HasPrefix(node, "/") || node == "/":
		problem = "needs to be a path, e.g. " + example
	case strings.HasSuffix(node, "/"):
		problem = "must not end in a slash, e.g. " + example
	case strings.Contains(node, "//") || strings.Contains(node+"/", "/./") || strings.Contains(node+"/", "/../"):
		problem = "needs names between its slashes, e.g. " + example
	case !utf8.ValidString(node) || strings.ContainsFunc(node, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }):
		problem = "has characters that ZooKeeper refuses, e.g. " + example
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(path, node, problem)}
}

func validateTLS(t *TLS, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref := t.CARef; ref != nil {
		p := path.Child("caRef")
		errs = append(errs, oneOf(p.Child("kind"), ref.Kind, RefSecret, RefConfigMap)...)
		errs = append(errs, validateRefName(ref.Name, p.Child("name"), "zk-ca")...)
		if len(validation.IsConfigMapKey(ref.Key)) > 0 {
			errs = append(errs, field.Invalid(p.Child("key"), ref.Key, "needs letters, digits, '-', '_' and '.', e.g. ca.crt"))
		}
	}
	if ref := t.ClientSecretRef; ref != nil {
		errs = append(errs, validateRefName(ref.Name, path.Child("clientSecretRef", "name"), "zk-client")...)
	}
	if t.ServerName != "" && len(validation.IsDNS1123Subdomain(strings.ToLower(t.ServerName))) > 0 {
		errs = append(errs, field.Invalid(path.Child("serverName"), t.ServerName, "needs to be a host name, e.g. zk.example.com"))
	}
	return errs
}

func validateSecretKeyRef(ref *SecretKeyRef, path *field.Path, example string) field.ErrorList {
	errs := validateRefName(ref.Name, path.Child("name"), example)
	if len(validation.IsConfigMapKey(ref.Key)) > 0 {
		errs = append(errs, field.Invalid(path.Child("key"), ref.Key, "needs letters, digits, '-', '_' and '.', e.g. token"))
	}
	return errs
}

func validateRefName(name string, path *field.Path, example string) field.ErrorList {
	switch {
	case name == "":
		return field.ErrorList{field.Required(path, "needs the name of a secret in the Registry's namespace, e.g. "+example)}
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		return field.ErrorList{field.Invalid(path, name, "needs lower-case letters, digits, '-' and '.', e.g. "+example)}
	}
	return nil
}
