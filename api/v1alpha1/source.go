package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Source is the registry to read. Exactly one member is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.zookeeper), has(self.consul), has(self.eureka), has(self.http), has(self.file), has(self.nacos)].exists_one(set, set)",message="needs exactly one registry, e.g. zookeeper"
// +kubebuilder:validation:XValidation:rule="has(self.zookeeper) == has(oldSelf.zookeeper) && has(self.consul) == has(oldSelf.consul) && has(self.eureka) == has(oldSelf.eureka) && has(self.http) == has(oldSelf.http) && has(self.file) == has(oldSelf.file) && has(self.nacos) == has(oldSelf.nacos)",message="which registry it is cannot be changed; create another Registry"
type Source struct {
	// Apache ZooKeeper.
	ZooKeeper *ZooKeeper `json:"zookeeper,omitempty"`
	// HashiCorp Consul.
	Consul *Consul `json:"consul,omitempty"`
	// Netflix Eureka, also as part of Spring Cloud.
	Eureka *Eureka `json:"eureka,omitempty"`
	// A document at a URL, for registries of your own.
	HTTP *HTTP `json:"http,omitempty"`
	// Documents in files, for registries of your own and for release systems.
	File *File `json:"file,omitempty"`
	// Alibaba Nacos.
	Nacos *Nacos `json:"nacos,omitempty"`
}

// Consul says how to reach a datacenter of Consul and what to read in it. The bridge only reads.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !self.address.startsWith('http://')",fieldPath=".address",message="needs https, because tls is set; or remove tls"
type Consul struct {
	// The URL of an agent, or of a load balancer before the servers. With https, services share connections; with http, more than 92
	// services are asked in turn, and changes take up to 25s to be seen, longer above 1,800 services.
	// Example: https://consul:8501
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",message="needs to be a URL, e.g. https://consul:8501"
	Address string `json:"address"`
	// The datacenter, that of the agent when it is not set.
	// Example: dc1
	// +kubebuilder:validation:MaxLength=63
	Datacenter string `json:"datacenter,omitempty"`
	// The namespace, in Consul Enterprise.
	// Example: shop
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// The admin partition, in Consul Enterprise.
	// Example: retail
	// +kubebuilder:validation:MaxLength=63
	Partition string `json:"partition,omitempty"`
	// An expression in Consul's filter language that selects instances, with the selectors of its health endpoint.
	// Example: Service.Meta.env == "prod"
	// +kubebuilder:validation:MaxLength=4096
	Filter string `json:"filter,omitempty"`
	// The ACL token, which needs service:read and node:read on everything. It is read again for each query. Without it, the bridge sees
	// what the agent's own token may.
	TokenSecretRef *SecretKeyRef `json:"tokenSecretRef,omitempty"`
	// How to speak TLS, for an https address. Without it, the system's certificate authorities are trusted.
	TLS *TLS `json:"tls,omitempty"`
	// What happens to instances with a warning: Publish them with their weight for it, or Drop them.
	// +kubebuilder:validation:Enum=Publish;Drop
	// +default="Publish"
	Warning ConsulWarning `json:"warning,omitempty"`
	// Which address is published: Service is that of the service or, where it has none, of its node; any other word is the name of a
	// tagged address, without which an instance is not published.
	// Example: wan
	// +kubebuilder:validation:MaxLength=253
	// +default="Service"
	AddressFrom string `json:"addressFrom,omitempty"`
}

// ConsulWarning says what happens to instances with a warning.
type ConsulWarning string

// What can happen to instances with a warning.
const (
	ConsulWarningPublish ConsulWarning = "Publish"
	ConsulWarningDrop    ConsulWarning = "Drop"
)

// ConsulAddressFromService is the value of Consul.AddressFrom that is no name of a tagged address.
const ConsulAddressFromService = "Service"

// ZooKeeper says how to reach an ensemble and what to read in it. The bridge only reads.
type ZooKeeper struct {
	// The servers of the ensemble, each as host:port. Names are resolved again at each connection.
	// Example: ["zk-0.zk:2181", "zk-1.zk:2181"]
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[^/,;\s]+:[0-9]{1,5}$`
	// +kubebuilder:validation:items:MaxLength=261
	Servers []string `json:"servers"`
	// The path under which everything else is, where the ensemble is shared. Layout roots are relative to it.
	// Example: /prod
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(/[^/]+)*$`
	Chroot string `json:"chroot,omitempty"`
	// How the bridge authenticates. Without it, it reads what anybody may read.
	Auth *ZooKeeperAuth `json:"auth,omitempty"`
	// Turns TLS on. "tls: {}" trusts the system's certificate authorities.
	TLS *TLS `json:"tls,omitempty"`
	// How long a session survives without contact. The servers bound it, by default to between 4s and 40s.
	// Example: 15s
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="needs to be between 1s and 10m"
	// +default="30s"
	SessionTimeout *metav1.Duration `json:"sessionTimeout,omitempty"`
	// What to read: one entry for each way in which services are registered.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +default=[{}]
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
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +default="dubbo"
	Name string `json:"name,omitempty"`
	// How to read the nodes: DubboInterface is Apache Dubbo's registration of interfaces, DubboApplication that of applications since
	// Dubbo 3, which registers both unless told otherwise; SpringCloud is Spring Cloud ZooKeeper.
	// +kubebuilder:validation:Enum=DubboInterface;DubboApplication;SpringCloud
	// +default="DubboInterface"
	Type ZooKeeperLayoutType `json:"type,omitempty"`
	// The node under which the services are. The default is that of the type: /dubbo for DubboInterface, /services for the others, which
	// can share it.
	// Example: /dubbo-blue
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	Root string `json:"root,omitempty"`
	// The node under which Dubbo keeps the mapping and the metadata of applications, for DubboApplication. The default is /dubbo.
	// Example: /dubbo-blue
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	MetadataRoot string `json:"metadataRoot,omitempty"`
}

// ZooKeeperLayoutType says how nodes are read.
type ZooKeeperLayoutType string

// The layouts.
const (
	// LayoutDubboInterface is Apache Dubbo's registration of interfaces: <root>/<interface>/providers/<URL>.
	LayoutDubboInterface ZooKeeperLayoutType = "DubboInterface"
	// LayoutDubboApplication is Apache Dubbo's registration of applications: <root>/<application>/<host:port>.
	LayoutDubboApplication ZooKeeperLayoutType = "DubboApplication"
	// LayoutSpringCloud is that of Spring Cloud ZooKeeper: <root>/<application>/<id>.
	LayoutSpringCloud ZooKeeperLayoutType = "SpringCloud"
)

// TLS configures the connection's encryption.
type TLS struct {
	// The certificate authorities to trust, in PEM. The system's when it is not set.
	CARef *ObjectKeyRef `json:"caRef,omitempty"`
	// A secret with the keys tls.crt and tls.key: the certificate with which the bridge identifies itself.
	ClientSecretRef *SecretRef `json:"clientSecretRef,omitempty"`
	// The name that the server's certificate has to carry, where it is not the host of the server's address.
	// Example: zk.example.com
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// SecretRef names a secret in the Registry's namespace. The keys are given by the place where it is used. With files, its key is the
// file <secrets-dir>/<namespace>/<name>/<key>.
type SecretRef struct {
	// The secret's name.
	// Example: zk-digest
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SecretKeyRef names a key of a secret in the Registry's namespace. With files, it is the file <secrets-dir>/<namespace>/<name>/<key>.
type SecretKeyRef struct {
	// The secret's name.
	// Example: consul
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// The key within the secret.
	// Example: token
	// +kubebuilder:validation:MaxLength=253
	// +default="token"
	Key string `json:"key,omitempty"`
}

// ObjectKeyRef names a key of a secret or a config map in the Registry's namespace. With files, both are read from
// <secrets-dir>/<namespace>/<name>/<key>.
type ObjectKeyRef struct {
	// What the name refers to.
	// Example: ConfigMap
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	// +default="Secret"
	Kind RefKind `json:"kind,omitempty"`
	// The object's name.
	// Example: zk-ca
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// The key within the object.
	// Example: root.pem
	// +kubebuilder:validation:MaxLength=253
	// +default="ca.crt"
	Key string `json:"key,omitempty"`
}

// RefKind is what an ObjectKeyRef refers to.
type RefKind string

// The kinds of references.
const (
	RefSecret    RefKind = "Secret"
	RefConfigMap RefKind = "ConfigMap"
)
