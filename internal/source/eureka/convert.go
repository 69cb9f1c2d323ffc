package eureka

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/registry-bridge/registry-bridge/internal/model"
	"github.com/registry-bridge/registry-bridge/internal/reason"
	"github.com/registry-bridge/registry-bridge/internal/source"
)

// entry is what is read of an instance. Numbers and truth values are texts in some servers' answers, so their text is kept.
type entry struct {
	InstanceID     string    `json:"instanceId"`
	HostName       string    `json:"hostName"`
	IPAddr         string    `json:"ipAddr"`
	Status         string    `json:"status"`
	ActionType     string    `json:"actionType"`
	Port           portEntry `json:"port"`
	SecurePort     portEntry `json:"securePort"`
	DataCenterInfo struct {
		Metadata json.RawMessage `json:"metadata"`
	} `json:"dataCenterInfo"`
	Metadata    json.RawMessage `json:"metadata"`
	LastUpdated json.RawMessage `json:"lastUpdatedTimestamp"`
}

type portEntry struct {
	Number  json.RawMessage `json:"$"`
	Enabled json.RawMessage `json:"@enabled"`
}

// record is what is kept of an instance besides what is handed to the sink.
type record struct {
	instance model.Instance
	status   status
	// updated is when the server last changed it, by the server's clock in milliseconds; 0 when it does not say.
	updated int64
	// deleted says that a change took it away; what else the change says is how it was before.
	deleted bool
}

// status is one that an instance can have, in the alphabetical order of Eureka's words, in which the hash counts them.
type status uint8

const (
	statusDown status = iota
	statusOutOfService
	statusStarting
	statusUnknown
	statusUp
	statuses
)

func (s status) String() string {
	return [statuses]string{"DOWN", "OUT_OF_SERVICE", "STARTING", "UNKNOWN", "UP"}[s]
}

func (s status) health() model.Health {
	return [statuses]model.Health{model.Unhealthy, model.OutOfService, model.Starting, model.Unhealthy, model.Healthy}[s]
}

// parseStatus reads a status. As Eureka's own clients do, it takes a word that is none for UNKNOWN.
func parseStatus(word string) (s status, ok bool) {
	word = strings.ToUpper(word)
	for s := range statuses {
		if s.String() == word {
			return s, true
		}
	}
	return statusUnknown, false
}

// converter makes records of entries, one at a time. It keeps what many instances have in common once.
type converter struct {
	region string

	entry entry
	// problem is what is wrong with the form of the entry, empty for nothing.
	problem string
	// metadata are the maps made so far, by their text; zones those of data centres.
	metadata map[string]map[string]string
	amazon   map[string]map[string]string
}

func newConverter(region string) *converter {
	return &converter{region: region, metadata: map[string]map[string]string{}, amazon: map[string]map[string]string{}}
}

// reset forgets the entry, and keeps its buffers.
func (c *converter) reset() {
	e := &c.entry
	*e = entry{
		Port:       portEntry{Number: e.Port.Number[:0], Enabled: e.Port.Enabled[:0]},
		SecurePort: portEntry{Number: e.SecurePort.Number[:0], Enabled: e.SecurePort.Enabled[:0]},
		Metadata:   e.Metadata[:0], LastUpdated: e.LastUpdated[:0],
	}
	c.problem = ""
}

// record converts the entry. The instance has no ID when the entry has none.
func (c *converter) record() record {
	e := &c.entry
	amazon := texts(c.amazon, e.DataCenterInfo.Metadata)
	meta := texts(c.metadata, e.Metadata)
	s, known := parseStatus(e.Status)
	r := record{status: s, deleted: strings.EqualFold(e.ActionType, "DELETED")}
	r.updated, _ = strconv.ParseInt(scalar(e.LastUpdated), 10, 64)
	ports, portProblem := c.ports()
	r.instance = model.Instance{
		ID:       cmp.Or(e.InstanceID, amazon["instance-id"], e.HostName),
		Address:  cmp.Or(e.IPAddr, amazon["local-ipv4"], e.HostName),
		Ports:    ports,
		Weight:   1,
		Health:   s.health(),
		Locality: c.locality(amazon, meta),
		Metadata: meta,
	}
	problem := ""
	switch {
	case c.problem != "":
		problem = reason.Problem(reason.MalformedName, c.problem)
	case r.instance.ID == "":
		problem = reason.Problem(reason.MalformedName, "the instance has no id and no host name")
	case !known:
		problem = reason.Problem(reason.MalformedName, "the status is a word that Eureka does not have")
	case r.instance.Address == "":
		problem = reason.Problem(reason.AddressMissing, "the instance has neither an address nor a host name")
	}
	r.instance.Problem = cmp.Or(problem, portProblem, source.MetadataProblem(meta))
	return r
}

// ports returns the enabled ones, and what is wrong with all of them.
func (c *converter) ports() (ports []model.Port, problem string) {
	e := &c.entry
	if len(e.Port.Number) > 0 && scalar(e.Port.Enabled) != "false" {
		ports = append(ports, model.Port{Number: portNumber(e.Port.Number)})
	}
	if scalar(e.SecurePort.Enabled) == "true" {
		ports = append(ports, model.Port{Protocol: "https", Number: portNumber(e.SecurePort.Number)})
	}
	switch {
	case len(ports) == 0:
		problem = reason.Problem(reason.PortOutOfRange, "neither port nor securePort is enabled")
	case !slices.ContainsFunc(ports, func(p model.Port) bool { return p.Number > 0 && p.Number <= math.MaxUint16 }):
		problem = reason.Problem(reason.PortOutOfRange, fmt.Sprintf("port %d is not between 1 and %d", ports[0].Number, math.MaxUint16))
	}
	return ports, problem
}

// portNumber reads a number. One that no port has stays one.
func portNumber(raw json.RawMessage) uint32 {
	n, err := strconv.ParseUint(scalar(raw), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// availabilityZone is the form of the names of zones at Amazon, which begin with the region's: us-east-1c, us-west-2-lax-1a.
var availabilityZone = regexp.MustCompile(`^[a-z]{2}(?:-[a-z]+)+-\d+`)

// locality is where the instance says that it is: the zone of Amazon, else that of its metadata.
func (c *converter) locality(amazon, meta map[string]string) model.Locality {
	if zone := amazon["availability-zone"]; zone != "" {
		return model.Locality{Region: cmp.Or(meta["region"], availabilityZone.FindString(zone), c.region), Zone: zone}
	}
	if zone := meta["zone"]; zone != "" {
		return model.Locality{Region: cmp.Or(meta["region"], c.region), Zone: zone}
	}
	return model.Locality{Region: meta["region"]}
}

// texts returns the fields of an object as texts, without the name of the Java class that some servers write among them; nil for none.
// Equal objects give the same map.
func texts(made map[string]map[string]string, raw json.RawMessage) map[string]string {
	if len(raw) == 0 || raw[0] != '{' || len(raw) == 2 {
		return nil
	}
	if m, ok := made[string(raw)]; ok {
		return m
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil // Not possible: it has been read as a value before.
	}
	m := make(map[string]string, len(fields))
	for k, v := range fields {
		if k != "@class" && !bytes.Equal(v, []byte("null")) {
			m[k] = scalar(v)
		}
	}
	if len(m) == 0 {
		m = nil
	}
	if len(made) < maxInterned {
		made[string(raw)] = m
	}
	return m
}

// scalar is the text of a value that may be written as text or as a number or truth value. Objects and lists stay JSON.
func scalar(raw json.RawMessage) string {
	if len(raw) < 2 || raw[0] != '"' {
		return string(raw)
	}
	if inner := raw[1 : len(raw)-1]; !bytes.ContainsAny(inner, "\\\x00") && isASCII(inner) {
		return string(inner)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return "" // Not possible: it has been read as a value before.
	}
	return text
}

func isASCII(text []byte) bool {
	return !slices.ContainsFunc(text, func(b byte) bool { return b >= 0x80 })
}

// kindProblem says what is wrong with an instance, without its content.
func kindProblem(err *json.UnmarshalTypeError) string {
	if err.Field != "" {
		return fmt.Sprintf("%s is a %s", err.Field, err.Value)
	}
	return "not what Eureka says of an instance"
}
