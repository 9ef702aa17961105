// Package bus carries outcomes up and tables down: it is where the two planes meet, and the only room besides the catalog's store that knows NATS.
//
// # What travels where
//
// Every subject begins with aimux.v1.<cluster>. What belongs to one region stands under its name:
//
//	aimux.v1.<cluster>.region.<region>.outcome.<node>   outcomev1.Batch      node -> every control plane of its region
//	aimux.v1.<cluster>.region.<region>.node.<node>      tablev1.Heartbeat    node -> every control plane, of any region
//	aimux.v1.<cluster>.region.<region>.suspect.<node>   tablev1.Suspect      node -> its peers in the region
//	aimux.v1.<cluster>.region.<region>.health           tablev1.Health       leader -> the nodes of its region
//	aimux.v1.<cluster>.region.<region>.config           tablev1.Config       leader -> the nodes of its region
//	aimux.v1.<cluster>.region.<region>.lead             tablev1.Header       leader -> the replicas of its region
//	aimux.v1.<cluster>.region.<region>.digest           tablev1.RegionDigest leader -> the control planes of all other regions
//	aimux.v1.<cluster>.catalog                          revision and bytes   a replica that saved -> every replica
//	aimux.v1.<cluster>.config.get                       request and answer   node -> any one control plane
//	aimux.v1.<cluster>.usage.<node>                     outcomev1.UsageBlock node -> a stream -> every control plane
//	aimux.v1.<cluster>.spent.get                        request and answer   node -> any one control plane
//	aimux.v1.<cluster>.explain[.<node>]                 request and answer   control plane -> one node, or any
//
// The last token of what a node sends is its own name, so that a server that authorizes by subject can hold each node to
// its own voice; a message whose body names somebody else is malformed.
//
// # Whom to believe
//
// Every message proves that a party with the cluster's key made it, for its subject (seal.go); what does not is counted (Traffic.Forged)
// and dropped. Of headers only the bytes are told, and they are not proved: the traceparent of a push makes a span, and nothing else. What each party may say and hear on a server that authorizes is in permissions.go.
//
// # What can be relied on
//
// What is used is kept (usage.go): delivery is at least once and in order, and whoever sums up knows a block again. All else is
// delivered at most once: nothing is kept for a receiver that is away, nothing is replayed after a cut. All messages
// are built for that: counters are cumulative, tables are whole and fenced by (epoch, seq) or by revision. Publishing
// while the bus is down fails at once with ErrDown and is counted; it is never buffered, because evidence from before a
// cut is worth nothing after it. Publishing while a peer does not read may wait up to the flusher's limit of one second:
// call it from a goroutine that nobody waits for, never from one that serves a request.
//
// Handlers get messages that are decoded, bounded in size and of this cluster; anything else is counted and dropped.
// Each watch calls its handler from one goroutine of its own, in the order of arrival. A handler that falls behind loses
// messages, newest first, and the loss is counted (Traffic.Overflowed).
//
// Connections heal by themselves for ever, with a jittered wait; a peer that stops answering is noticed within three
// seconds. Subscriptions survive.
package bus
