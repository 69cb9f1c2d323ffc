package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Source is the registry to read. Exactly one member is set.
type Source struct {
	// Apache ZooKeeper.
	ZooKeeper *ZooKeeper `json:"zookeeper,omitempty"`
}

// ZooKeeper says how to reach an ensemble and what to read in it. The bridge only reads.
type ZooKeeper struct {
	// The servers of the ensemble, each as host:port. Names are resolved again at each connection.
	// Example: ["zk-0.zk:2181", "zk-1.zk:2181"]
	// +kubebuilder:validation:MinItems=1
	Servers []string `json:"servers"`
	// The path under which everything else is, where the ensemble is shared. Layout roots are relative to it.
	// Example: /prod
	Chroot string `json:"chroot,omitempty"`
	// How the bridge authenticates. Without it, it reads what anybody may read.
	Auth *ZooKeeperAuth `json:"auth,omitempty"`
	// Turns TLS on. "tls: {}" trusts the system's certificate authorities.
	TLS *TLS `json:"tls,omitempty"`
	// How long a session survives without contact. The servers bound it, by default to between 4s and 40s.
	// Example: 15s
	SessionTimeout *metav1.Duration `json:"sessionTimeout,omitempty"`
	// What to read: one entry for each way in which services are registered.
	Layouts []ZooKeeperLayout `json:"layouts,omitempty"`
}

// ZooKeeperAuth says how the bridge authenticates.
type ZooKeeperAuth struct {
	// A secret with the keys username and password, for the scheme digest. It is read again at each connection.
	DigestSecretRef *SecretRef `json:"digestSecretRef,omitempty"`
}

// ZooKeeperLayout is one way in which services are registered.
type ZooKeeperLayout struct {
	// Names the layout in status and metrics; unique within the Registry.
	// Example: dubbo
	Name string `json:"name,omitempty"`
	// How to read the nodes: DubboInterface is Apache Dubbo's registration of interfaces.
	// +kubebuilder:validation:Enum=DubboInterface
	Type ZooKeeperLayoutType `json:"type,omitempty"`
	// The node under which the services are. The default is that of the type: /dubbo.
	// Example: /dubbo-blue
	Root string `json:"root,omitempty"`
}

// ZooKeeperLayoutType says how nodes are read.
type ZooKeeperLayoutType string

// LayoutDubboInterface is Apache Dubbo's registration of interfaces: <root>/<interface>/providers/<URL>.
const LayoutDubboInterface ZooKeeperLayoutType = "DubboInterface"

// TLS configures the connection's encryption.
type TLS struct {
	// The certificate authorities to trust, in PEM. The system's when it is not set.
	CARef *ObjectKeyRef `json:"caRef,omitempty"`
	// A secret with the keys tls.crt and tls.key: the certificate with which the bridge identifies itself.
	ClientSecretRef *SecretRef `json:"clientSecretRef,omitempty"`
	// The name that the server's certificate has to carry, where it is not the host of the server's address.
	// Example: zk.example.com
	ServerName string `json:"serverName,omitempty"`
}

// SecretRef names a secret in the Registry's namespace. The keys are given by the place where it is used. With files, its key is the
// file <secrets-dir>/<namespace>/<name>/<key>.
type SecretRef struct {
	// The secret's name.
	// Example: zk-digest
	Name string `json:"name"`
}

// ObjectKeyRef names a key of a secret or a config map in the Registry's namespace. With files, both are read from
// <secrets-dir>/<namespace>/<name>/<key>.
type ObjectKeyRef struct {
	// What the name refers to.
	// Example: ConfigMap
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	Kind RefKind `json:"kind,omitempty"`
	// The object's name.
	// Example: zk-ca
	Name string `json:"name"`
	// The key within the object.
	// Example: root.pem
	Key string `json:"key,omitempty"`
}

// RefKind is what an ObjectKeyRef refers to.
type RefKind string

// The kinds of references.
const (
	RefSecret    RefKind = "Secret"
	RefConfigMap RefKind = "ConfigMap"
)
