package v1alpha1

// Nacos says how to reach a cluster of Nacos and what to read in it. The bridge only reads.
//
// +kubebuilder:validation:XValidation:rule="!has(self.authSecretRef) || !has(self.accessKey)",fieldPath=".accessKey",message="stands beside authSecretRef; a server knows one of the two"
// +kubebuilder:validation:XValidation:rule="!has(self.loginScheme) || has(self.authSecretRef)",fieldPath=".loginScheme",message="is for authSecretRef, which is not set"
type Nacos struct {
	// The servers of the cluster, each as host:port of its HTTP API; what the bridge reads comes from the gRPC port, grpcPortOffset above
	// it. Names are resolved again at each connection.
	// Example: ["nacos:8848"]
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[^/,;\s]+:[0-9]{1,5}$`
	// +kubebuilder:validation:items:MaxLength=261
	Servers []string `json:"servers"`
	// How far the gRPC port is above the HTTP port.
	// Example: 1000
	// +kubebuilder:validation:Minimum=-65535
	// +kubebuilder:validation:Maximum=65535
	// +default=1000
	GRPCPortOffset *int32 `json:"grpcPortOffset,omitempty"`
	// The path of the HTTP API, where the bridge logs in.
	// Example: /nacos
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^/[^?#\s]*$`
	// +default="/nacos"
	ContextPath string `json:"contextPath,omitempty"`
	// A secret with the keys username and password. It is read again at each login.
	AuthSecretRef *SecretRef `json:"authSecretRef,omitempty"`
	// How the bridge logs in: HTTPS when tls is set, else HTTP.
	// Example: HTTP
	// +kubebuilder:validation:Enum=HTTP;HTTPS
	LoginScheme NacosLoginScheme `json:"loginScheme,omitempty"`
	// Signs each request instead of a login, as Alibaba Cloud's MSE wants it.
	AccessKey *NacosAccessKey `json:"accessKey,omitempty"`
	// Turns TLS on. "tls: {}" trusts the system's certificate authorities.
	TLS *TLS `json:"tls,omitempty"`
	// What to read: the groups of each namespace. Each group is a source of its own.
	// +listType=map
	// +listMapKey=namespace
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +default=[{}]
	Scopes []NacosScope `json:"scopes,omitempty"`
	// Which instances are read, by the name of their cluster within the service. All when it is not set.
	// Example: ["DEFAULT"]
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[0-9a-zA-Z-]{1,64}$`
	Clusters []string `json:"clusters,omitempty"`
	// How services are registered: SpringCloud by Spring Cloud Alibaba, DubboInterface and DubboApplication by Apache Dubbo, Plain by anything
	// else. Auto tells them apart, each service by itself.
	// +kubebuilder:validation:Enum=Auto;SpringCloud;DubboInterface;DubboApplication;Plain
	// +default="Auto"
	Layout NacosLayout `json:"layout,omitempty"`
}

// NacosLoginScheme is how the bridge logs in.
type NacosLoginScheme string

// The ways to log in.
const (
	NacosLoginHTTP  NacosLoginScheme = "HTTP"
	NacosLoginHTTPS NacosLoginScheme = "HTTPS"
)

// NacosAccessKey says how requests are signed.
type NacosAccessKey struct {
	// A secret with the keys accessKey and secretKey, and securityToken where they are temporary. It is read again for each request.
	SecretRef SecretRef `json:"secretRef"`
	// The region that the signing key is derived for (signature version 4). Without it, the secret key itself signs.
	// Example: cn-hangzhou
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Region string `json:"region,omitempty"`
}

// NacosScope is a namespace and the groups in it that are read.
type NacosScope struct {
	// The namespace's id.
	// Example: public
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[\w-]+$`
	// +default="public"
	Namespace string `json:"namespace,omitempty"`
	// The groups.
	// Example: ["DEFAULT_GROUP"]
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[\w.:-]+$`
	// +kubebuilder:validation:items:MaxLength=128
	// +default=["DEFAULT_GROUP"]
	Groups []string `json:"groups,omitempty"`
}

// NacosLayout is how services are registered.
type NacosLayout string

// The ways in which services are registered.
const (
	NacosAuto             NacosLayout = "Auto"
	NacosSpringCloud      NacosLayout = "SpringCloud"
	NacosDubboInterface   NacosLayout = "DubboInterface"
	NacosDubboApplication NacosLayout = "DubboApplication"
	NacosPlain            NacosLayout = "Plain"
)

// What Nacos takes for a namespace and a group that are not named.
const (
	NacosDefaultNamespace = "public"
	NacosDefaultGroup     = "DEFAULT_GROUP"
)
