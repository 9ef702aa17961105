// Package store keeps the catalog: durable, compared and set by revision, and brought to every replica within milliseconds of a save.
//
// # Bodies
//
// KV keeps it in NATS JetStream: bucket AIMUX_CONFIG, key catalog.<cluster>, file storage, one version, replicated three times on a
// cluster. Memory keeps it in the process, for tests. Both pass the exam in storetest.
//
// # What can be relied on
//
// A revision names one saved catalog for ever and only grows: in KV it is the stream's sequence, which begins at the second of the
// bucket's creation rather than at one, so that a bucket that was lost and made anew never hands out a revision that a
// node has already seen. Save succeeds only against the current revision, and its answer means durable. For a power failure to be
// survived, the server must sync before it acknowledges: "sync_interval: always" in the jetstream block of nats-server's
// configuration, SyncAlways in the options of an embedded one. The default acknowledges first and syncs within two minutes.
//
// # How replicas learn of a save
//
// Not by a watch on the bucket: such a consumer lives on one server and is blind for up to 18 seconds after that server dies. The
// replica that saved tells the others over core NATS, content included (Notice), and every replica asks the stream's leader every
// two seconds, in case the news was lost. Reads go to the stream's leader, never to a follower that may lag (AllowDirect is off).
//
// # The archive and the slate
//
// Archive keeps what was written by whom, and Slate one record that each leader leaves to the next; each is a stream of its own, so that the catalog's revisions
// stay apart from them.
//
// # The file
//
// File is not a body but a second source: the operator's catalog file, watched, given as bytes whenever it changes. What
// it means for the catalog is decided by the control plane, which compares it with what it applied of the file before.
package store
