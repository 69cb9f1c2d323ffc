package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DocumentFormat says how a document that lists services is written.
type DocumentFormat string

// The formats of documents.
const (
	DocumentNative       DocumentFormat = "Native"
	DocumentPrometheusSD DocumentFormat = "PrometheusSD"
)

// HTTP says where a document that lists all services is fetched, and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tls) || !self.url.startsWith('http://')",fieldPath=".url",message="needs https, because tls is set; or remove tls"
// +kubebuilder:validation:XValidation:rule="!has(self.bearerSecretRef) || !has(self.basicSecretRef)",fieldPath=".basicSecretRef",message="stands beside bearerSecretRef; a request has room for one of them"
type HTTP struct {
	// The URL of the document. A request is answered with 200 and a whole document as application/json, or with 304 where the ETag is still
	// the same; anything else is a failure, and changes nothing.
	// Example: https://cmdb.example/api/services
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",message="needs to be a URL, e.g. https://cmdb.example/api/services"
	URL string `json:"url"`
	// How the document is written: Native is the schema in services.schema.json, PrometheusSD is what Prometheus reads as http_sd.
	// +kubebuilder:validation:Enum=Native;PrometheusSD
	// +default="Native"
	Format DocumentFormat `json:"format,omitempty"`
	// The label that names the service of a group of targets, with the format PrometheusSD.
	// Example: __meta_service
	// +kubebuilder:validation:MaxLength=253
	// +default="job"
	ServiceLabel string `json:"serviceLabel,omitempty"`
	// How often the document is asked for.
	// Example: 30s
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="needs to be between 1s and 1h"
	// +default="10s"
	PollInterval *metav1.Duration `json:"pollInterval,omitempty"`
	// How long the server may wait for news before it answers 304, which it is asked for by "Prefer: wait=55" beside the ETag. A server that
	// does so is asked again at once, so that changes are seen when they happen. Without it, or at 0s, the server is to answer at once.
	// Example: 55s
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="needs to be between 1s and 10m, or 0s for none"
	LongPoll *metav1.Duration `json:"longPoll,omitempty"`
	// A token that is sent as "Authorization: Bearer …". It is read again for each request.
	BearerSecretRef *SecretKeyRef `json:"bearerSecretRef,omitempty"`
	// A secret with the keys username and password, for basic authentication. It is read again for each request.
	BasicSecretRef *SecretRef `json:"basicSecretRef,omitempty"`
	// More headers of each request.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []HTTPHeader `json:"headers,omitempty"`
	// How to speak TLS, for an https URL. Without it, the system's certificate authorities are trusted.
	TLS *TLS `json:"tls,omitempty"`
}

// HTTPHeader is a header of a request: a value, or a secret that has it.
//
// +kubebuilder:validation:XValidation:rule="has(self.value) != has(self.secretRef)",message="needs either value or secretRef"
type HTTPHeader struct {
	// The header's name.
	// Example: X-Tenant
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[-A-Za-z0-9]+$`
	Name string `json:"name"`
	// The value, when it is no secret.
	// Example: shop
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
	// The value, when it is a secret. It is read again for each request.
	SecretRef *SecretKeyRef `json:"secretRef,omitempty"`
}

// File says which files hold documents that list services.
type File struct {
	// The absolute path of a file, or of a folder in which each file *.json is a document of its own: a mounted ConfigMap, for example. In a
	// cluster it is a path inside the pod of the bridge (extraVolumes and extraVolumeMounts of the chart).
	// Example: /etc/registry-bridge/services
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^(/[^/]+)+$`
	Path string `json:"path"`
	// How the documents are written: Native is the schema in services.schema.json, PrometheusSD is what Prometheus reads as http_sd or, in
	// JSON, as file_sd.
	// +kubebuilder:validation:Enum=Native;PrometheusSD
	// +default="Native"
	Format DocumentFormat `json:"format,omitempty"`
	// The label that names the service of a group of targets, with the format PrometheusSD.
	// Example: __meta_service
	// +kubebuilder:validation:MaxLength=253
	// +default="job"
	ServiceLabel string `json:"serviceLabel,omitempty"`
}
