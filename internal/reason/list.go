package reason

import "slices"

// All returns every reason in the order of the documentation: what is dropped, what is noted, what is held, what could be better, what
// conditions say.
func All() []Info {
	return slices.Concat(instances(), services(), notes(), guards(), hints(), states())
}

// instances are the reasons why one instance is not published.
func instances() []Info {
	return []Info{
		{
			MalformedURL, Drop, "The registered URL cannot be read.",
			"Look at the node in the registry; the detail says where reading stopped. Usually something other than the framework wrote it.",
		},
		{
			MalformedName, Drop, "The name or the content of what is registered makes no sense.",
			"Look at the node in the registry, and remove it when nothing registers it any more.",
		},
		{
			PortOutOfRange, Drop, "The port is 0 or above 65535.",
			"Correct the port in the application's configuration. Port 0 often means that it registered before its server had started.",
		},
		{
			AddressNotIP, Drop, "The instance is registered by a host name, and only IP addresses are published.",
			"Let the application register its IP address (Dubbo: DUBBO_IP_TO_REGISTRY).",
		},
		{
			AddressMissing, Drop, "The instance has no address, or not the one that the Registry asks for.",
			"Look at the instance in the registry. For Consul, source.consul.addressFrom says which of its addresses is taken.",
		},
		{
			AddressUnspecified, Drop, "The address is 0.0.0.0 or ::, which nobody can call.",
			"Let the application register the address under which it is reached (Dubbo: DUBBO_IP_TO_REGISTRY).",
		},
		{
			AddressDenied, Drop, "The address is in endpoints.denyCIDRs, or not in endpoints.allowCIDRs.",
			"For 127.0.0.1, let the application register the address under which it is reached. Else change the lists.",
		},
		{
			MetadataTooLarge, Drop, "The metadata is larger than what is accepted.",
			"Find out what the application puts into its registration, and make it less.",
		},
		{
			Unusable, Drop, "The registry says that the instance takes no traffic: it is down, starting, disabled, or has weight 0.",
			"Nothing, when that is so. The detail names the state.",
		},
	}
}

// services are the reasons why a service, or a part of it, is not published.
func services() []Info {
	return []Info{
		{
			UnitUnreadable, Drop, "What the registry holds for this service could not be read; what was published of it stays.",
			"Look at the detail. Access rules of the registry that hide it from the bridge are the usual cause.",
		},
		{
			HostCollision, Drop, "Another service has the same host already.",
			"Give one of the two another host by a rule, or tell them apart with hosts.template.",
		},
		{
			HostConflict, Drop, "Somebody else's ServiceEntry or Service in the cluster has the host; an object of ours is not created.",
			"Give the service another host by a rule, or remove the other object. What is published already stays.",
		},
		{
			HostReserved, Drop, "The host would belong to Kubernetes (.svc., .local).",
			"Give the service another host by a rule, or change hosts.template or hosts.suffix.",
		},
		{
			HostInvalid, Drop, "No valid host can be made of the name.",
			"Give the service a host by a rule.",
		},
		{
			ProtocolConflict, Drop, "Two Registries have the same host with different protocols; the later one is left out.",
			"Set the protocol by a rule, or give one of them another host.",
		},
		{
			ServiceExcluded, Drop, "The service is left out by services.include or services.exclude.",
			"Nothing, when that is meant.",
		},
		{
			TooManyServices, Drop, "The Registry has more hosts than services.max; new ones are held back.",
			"Raise services.max, or select fewer services.",
		},
		{
			TooManyPorts, Drop, "The service has more than 16 ports; those above are left out.",
			"Set rules[].servicePort, so that one port stands for all of them.",
		},
		{
			DuplicateEndpoint, Drop, "The same address and port is registered twice for one host; the first one counts.",
			"Nothing, unless the two say different things: then remove the stale one from the registry.",
		},
		{
			UnsupportedProtocol, Drop, "The instance speaks a protocol that cannot be published.",
			"Set the protocol by a rule when you know that it can be forwarded, for instance as TCP.",
		},
		{
			InterfacesUnknown, Drop, "A Dubbo application is registered, but nothing says which interfaces the instance offers.",
			"Set dubbo.application.metadata-type=remote at the provider, or have it register its interfaces, too, and read those.",
		},
	}
}

func notes() []Info {
	return []Info{
		{
			PortDrift, Note, "Most instances moved to another port, or to another protocol, than the one under which the host is published.",
			"The published port stays, because clients use it. Set rules[].servicePort to change it.",
		},
		{
			TCPWithoutAddress, Note, "A TCP service has no virtual IP, so it is exported to nobody: it would capture its port for the whole mesh.",
			"Set output.vipCIDR.",
		},
		{
			LabelSanitised, Note, "A value from the metadata is not a valid label, and was changed.",
			"Nothing, unless routing by that label is meant to work: then change the value in the application.",
		},
		{
			WeightClamped, Note, "The weight is outside of what can be expressed, and was brought to the nearest value.",
			"Nothing, unless the ratio matters: then choose weights between a tenth and a thousand times the default.",
		},
		{
			EndpointModeFixed, Note, "The setting endpoints.mode was changed, and the host is published in the other mode already: it keeps that.",
			"Nothing, when new hosts alone are meant. To move one, exclude its service, wait until its objects are gone, and include it again.",
		},
		{
			IdentityUnknown, Note, "Of a host's endpoints with mutual TLS, some are pods whose identity is known, and one is not: its tlsMode is that of a rule.",
			"Nothing: clients accept any identity of the mesh behind the host. Leave rules[].tlsMode out where the instances are pods, to have identities checked.",
		},
		{
			SerializationUnsupported, Note, "Providers on the port are called with a serialization that Envoy cannot read, so calls to the port are forwarded, not routed.",
			"Set dubbo.protocol.prefer-serialization=hessian2 at the providers that the detail names. Routing begins by itself when the last of them has gone.",
		},
		{
			ForeignServiceOnPort, Note, "Somebody else's Service or ServiceEntry has the port in view of the consumers and does not speak Dubbo, so calls to the port are not routed.",
			"Move it to another port, export it to other namespaces, or, when it does speak Dubbo, say so in the name of its port (tcp-dubbo).",
		},
		{
			ListenerConflict, Note, "Something else decides about the listener of the port in the consumers' proxies, so calls to the port are not routed.",
			"Look at the detail: another TCP service of this bridge on the port, another host for the same service, or somebody else's EnvoyFilter.",
		},
		{
			DuplicateHostNamespace, Note, "Another namespace publishes the host, too, and istiod serves one of them only, so calls to it are not routed.",
			"Remove one of the two, or export it to other namespaces than those of the consumers.",
		},
		{
			DNSCaptureListener, Note, "Istiod uses an address of its own for the host, so proxies that capture DNS listen there, and do not route calls to the providers' addresses.",
			"Look who removes the label networking.istio.io/enable-autoallocate-ip from the ServiceEntry.",
		},
		{
			ForeignDestinationRule, Note, "Somebody else has a DestinationRule for the host, so there are no subsets of ours, and calls are not routed by tag.",
			"Remove the host from that DestinationRule, or set dubbo.tagRouting: Disabled.",
		},
		{
			RouteIncomplete, Note, "A split of dubbo.routes names providers that are not there; the others get their share.",
			"Nothing, when they are still to come. Else look at group, version and tag.",
		},
		{
			PortNotRouted, Note, "The calls to a service are routed, and one of its ports is not published: another TCP protocol, or one port too many.",
			"Nothing: consumers reach it at the providers' addresses, as without the mesh.",
		},
	}
}

func guards() []Info {
	return []Info{
		{
			Unsynced, Guard, "The source has not read everything since the bridge started.",
			"Wait. When it lasts, look at the state of the source.",
		},
		{
			Failing, Guard, "The registry, or a part of it, cannot be read now.",
			"Restore the registry. When it is gone for good, remove the Registry or set guards.maxHold.",
		},
		{
			EmptyService, Guard, "The service fell to no usable instance at all.",
			"Look whether the instances are really gone. They go by themselves after guards.emptyGrace.",
		},
		{
			EmptySource, Guard, "The registry suddenly holds no instance at all.",
			"Look whether it lost its data. The endpoints go after guards.massRemoval.holdFor, or at once when the hold is released.",
		},
		{
			MassRemoval, Guard, "Many endpoints of one registry went within five minutes.",
			"Look whether that is meant. They go after guards.massRemoval.holdFor, or at once when the hold is released.",
		},
		{
			Vanished, Guard, "The object has no endpoint left, and its service is gone.",
			"Nothing. It goes by itself after guards.deleteAfter, or is filled again when the service returns.",
		},
		{
			Orphan, Guard, "No Registry is configured any more for what is published, and deletionPolicy was Retain.",
			"Configure a Registry of the same name to adopt the objects, or delete them with registry-bridge purge --orphans.",
		},
		{
			Paused, Guard, "The Registry has mode: Paused.",
			"Set mode: Active when writing may go on (registry-bridge resume).",
		},
		{
			Frozen, Guard, "All writing was stopped by an operator.",
			"Resume writing when it may go on (registry-bridge unfreeze).",
		},
		{
			Observed, Guard, "The Registry has mode: Observe: changes are planned, not written.",
			"Look at the plan, and set mode: Active.",
		},
		{
			ConfirmRemoval, Guard, "An edit of the configuration would delete more than 30 % (and more than 10) of the Registry's objects.",
			"Undo the edit; or, when the removal is meant, release it: registry-bridge release, which names the hold's id in the Registry's annotation registry-bridge.io/release.",
		},
		{
			PortOverlap, Guard, "A configured port changed; the old one stays beside the new one for a while.",
			"Nothing. It goes by itself after guards.emptyGrace.",
		},
		{
			ShardMove, Guard, "An endpoint moves to another object of the same host, and stays in the old one until it is in the new one.",
			"Nothing. It takes one more write.",
		},
		{
			TableFirst, Guard, "A Dubbo service that calls are routed to by what they say waits for the tables of routes of its consumers: without one, a proxy would send it all calls of the port.",
			"Nothing: it takes some seconds. When it lasts, a table cannot be written; look at the conditions, and whether the chart allows EnvoyFilters in that namespace.",
		},
		{
			RoutesFirst, Guard, "A Dubbo service, or one of its ports or namespaces, is to go, and waits until its routes have left the tables.",
			"Nothing: it takes some seconds, a minute when routes change all the time, and two when a table cannot be written.",
		},
	}
}

func hints() []Info {
	return []Info{
		{
			ConnectionLimit, Hint, "There are more services than connections to the registry, so services are asked in turn, and a change is seen later.",
			"For Consul, use an https address: all queries share a few connections there (HTTP/2). Else select fewer services.",
		},
		{
			NoChangeFeed, Hint, "The registry does not tell what has changed, so everything is read at each poll.",
			"For Eureka, let the servers tell changes (eureka.server.disable-delta=false); or poll less often when it is much.",
		},
	}
}
