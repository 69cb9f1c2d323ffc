package eurekatest

import (
	"encoding/json"
	"encoding/xml"
	"strconv"
	"strings"
	"time"
)

// Instance is an instance as it is registered and as it is answered, in the order of fields in which servers write them.
type Instance struct {
	InstanceID       string         `json:"instanceId,omitempty" xml:"instanceId"`
	HostName         string         `json:"hostName" xml:"hostName"`
	App              string         `json:"app" xml:"app"`
	IPAddr           string         `json:"ipAddr" xml:"ipAddr"`
	Status           string         `json:"status" xml:"status"`
	OverriddenStatus string         `json:"overriddenStatus,omitempty" xml:"overriddenstatus"`
	Port             Port           `json:"port" xml:"port"`
	SecurePort       Port           `json:"securePort" xml:"securePort"`
	CountryID        int            `json:"countryId" xml:"countryId"`
	DataCenterInfo   DataCenterInfo `json:"dataCenterInfo" xml:"dataCenterInfo"`
	LeaseInfo        LeaseInfo      `json:"leaseInfo" xml:"leaseInfo"`
	// Metadata may have values that are no text; a server makes text of them.
	Metadata      map[string]any `json:"metadata" xml:"-"`
	VIPAddress    string         `json:"vipAddress,omitempty" xml:"vipAddress"`
	LastUpdated   int64          `json:"lastUpdatedTimestamp,string,omitempty" xml:"lastUpdatedTimestamp"`
	LastDirty     int64          `json:"lastDirtyTimestamp,string,omitempty" xml:"lastDirtyTimestamp"`
	ActionType    string         `json:"actionType,omitempty" xml:"actionType"`
	Coordinating  string         `json:"isCoordinatingDiscoveryServer,omitempty" xml:"isCoordinatingDiscoveryServer"`
	HomePageURL   string         `json:"homePageUrl,omitempty" xml:"homePageUrl"`
	HealthPageURL string         `json:"healthCheckUrl,omitempty" xml:"healthCheckUrl"`
}

// Port is a port and whether it is enabled, which is written as text.
type Port struct {
	Number  int    `json:"$" xml:",chardata"`
	Enabled string `json:"@enabled" xml:"enabled,attr"`
}

// DataCenterInfo says where an instance runs; Metadata only at Amazon.
type DataCenterInfo struct {
	Class    string            `json:"@class" xml:"class,attr"`
	Name     string            `json:"name" xml:"name"`
	Metadata map[string]string `json:"metadata,omitempty" xml:"-"`
}

// LeaseInfo is the lease of an instance. It changes with each renewal.
type LeaseInfo struct {
	RenewalInterval int   `json:"renewalIntervalInSecs" xml:"renewalIntervalInSecs"`
	Duration        int   `json:"durationInSecs" xml:"durationInSecs"`
	LastRenewal     int64 `json:"lastRenewalTimestamp" xml:"lastRenewalTimestamp"`
}

// NewInstance returns an instance that is UP, registered as a Spring Cloud application does.
func NewInstance(app, address string, port int) Instance {
	return Instance{
		InstanceID: address + ":" + app + ":" + strconv.Itoa(port), HostName: address, App: app, IPAddr: address, Status: "UP",
		Port: Port{Number: port, Enabled: "true"}, SecurePort: Port{Number: 443, Enabled: "false"},
		CountryID:      1,
		DataCenterInfo: DataCenterInfo{Class: "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", Name: "MyOwn"},
		LeaseInfo:      LeaseInfo{RenewalInterval: 30, Duration: 90},
		Metadata:       map[string]any{"management.port": "8081"},
		VIPAddress:     strings.ToLower(app),
	}
}

// Amazon returns the data centre of an instance in that availability zone.
func Amazon(zone string) DataCenterInfo {
	return DataCenterInfo{Class: "com.netflix.appinfo.AmazonInfo", Name: "Amazon", Metadata: map[string]string{"availability-zone": zone, "instance-id": "i-1"}}
}

// application is one application of an answer.
type application struct {
	Name      string      `json:"name" xml:"name"`
	Instances []*Instance `json:"instance" xml:"instance"`
}

// applications is an answer.
type applications struct {
	XMLName      xml.Name          `json:"-" xml:"applications"`
	Version      string            `json:"versions__delta" xml:"versions__delta"`
	Hash         *string           `json:"apps__hashcode,omitempty" xml:"apps__hashcode"`
	Applications []*application    `json:"-" xml:"application"`
	Raw          []json.RawMessage `json:"application" xml:"-"`
}

// normalise makes of a registration what a server keeps.
func normalise(i Instance, now time.Time) *Instance {
	i.App = strings.ToUpper(i.App)
	if i.InstanceID == "" {
		i.InstanceID = i.HostName
	}
	if i.OverriddenStatus == "" {
		i.OverriddenStatus = "UNKNOWN"
	}
	meta := map[string]any{}
	for k, v := range i.Metadata {
		if text, ok := v.(string); ok {
			meta[k] = text
		} else {
			text, err := json.Marshal(v)
			if err == nil {
				meta[k] = string(text)
			}
		}
	}
	i.Metadata = meta
	i.LastUpdated = now.UnixMilli()
	if i.LastDirty == 0 {
		i.LastDirty = now.UnixMilli()
	}
	i.LeaseInfo.LastRenewal = now.UnixMilli()
	i.Coordinating = "false"
	return &i
}
