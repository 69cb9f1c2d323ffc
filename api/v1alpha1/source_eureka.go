package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Eureka says how to reach the servers of Eureka. The bridge only reads, and does not register itself.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || self.servers.all(s, !s.url.startsWith('http://'))",fieldPath=".servers",message="needs https for every server, because tls is set; or remove tls"
type Eureka struct {
	// The servers of one registry, which copy it from each other. The first one is used until it fails, then the next one that answers.
	// +listType=map
	// +listMapKey=url
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Servers []EurekaServer `json:"servers"`
	// How often the changes are asked for. A server shows a change after up to 30s, unless its caches are configured otherwise.
	// Example: 10s
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="needs to be between 1s and 10m"
	// +default="30s"
	PollInterval *metav1.Duration `json:"pollInterval,omitempty"`
	// How to speak TLS, for https URLs. Without it, the system's certificate authorities are trusted.
	TLS *TLS `json:"tls,omitempty"`
	// The region of instances that name a zone (metadata zone) and no region. Without a region, a zone says nothing to Istio.
	// Example: north
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[^/\s]*$`
	Region string `json:"region,omitempty"`
}

// EurekaServer is one server of Eureka.
type EurekaServer struct {
	// The URL below which /apps is: with Spring Cloud it ends in /eureka, with Netflix's own server in /eureka/v2.
	// Example: http://eureka-0:8761/eureka
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",message="needs to be a URL, e.g. http://eureka:8761/eureka"
	URL string `json:"url"`
	// A secret with the keys username and password, for basic authentication at this server. It is read again for each poll.
	AuthSecretRef *SecretRef `json:"authSecretRef,omitempty"`
}
