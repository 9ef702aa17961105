package bus

// Permissions are the subjects on which one party may speak and listen, as a NATS server takes them. Neither list has a subject that
// reaches beyond the cluster, and none of a node's reaches what another node says of itself.
type Permissions struct {
	Publish, Subscribe []string
	// Answers says that the party may answer, once, whoever asks it on a subject that it listens to.
	Answers bool
}

// inbox is where a party's answers come in: under a name of its own, so that nobody can be allowed to read another's.
func inbox(cluster, name string) string { return "_INBOX." + cluster + "." + name }

// NodePermissions are what a node needs.
func NodePermissions(cluster, region, node string) Permissions {
	all := "aimux.v1." + cluster + "."
	here := all + "region." + region + "."
	return Permissions{
		Publish: []string{here + "outcome." + node, here + "node." + node, here + "suspect." + node, all + "usage." + node, all + "config.get", all + "spent.get"},
		Subscribe: []string{
			here + "health", here + "config", here + "suspect.*", all + "explain", all + "explain." + node, inbox(cluster, node) + ".>",
		},
		Answers: true,
	}
}

// ControlPlanePermissions are what a control plane needs: JetStream's API for the cluster's own streams, but for destroying and changing
// them.
func ControlPlanePermissions(cluster, region, replica string) Permissions {
	all := "aimux.v1." + cluster + "."
	here := all + "region." + region + "."
	p := Permissions{
		Publish: []string{
			here + "health", here + "config", here + "lead", here + "digest", all + "catalog", all + "explain", all + "explain.*", all + "audit", all + "told." + region,
			"$KV.AIMUX_CONFIG.catalog." + cluster, "$JS.API.INFO",
		},
		Subscribe: []string{
			here + "outcome.*", here + "health", here + "lead", all + "region.*.node.*", all + "region.*.digest", all + "catalog", all + "config.get", all + "spent.get",
			inbox(cluster, replica) + ".>",
		},
		Answers: true,
	}
	for _, stream := range []string{"KV_AIMUX_CONFIG", "AIMUX_AUDIT_" + cluster, "AIMUX_TOLD_" + cluster, usageStream + cluster} {
		for _, call := range []string{"STREAM.CREATE.", "STREAM.INFO.", "STREAM.MSG.GET.", "DIRECT.GET.", "CONSUMER.CREATE."} {
			p.Publish = append(p.Publish, "$JS.API."+call+stream)
		}
		p.Publish = append(p.Publish, "$JS.API.DIRECT.GET."+stream+".>", "$JS.API.CONSUMER.*."+stream+".>", "$JS.API.CONSUMER.MSG.NEXT."+stream+".>", "$JS.ACK."+stream+".>", "$JS.FC."+stream+".>")
	}
	return p
}
