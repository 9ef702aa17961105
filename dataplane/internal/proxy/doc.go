// Package proxy is the life of a request, in reading order, and the one room that knows the order of its phases.
//
//	who        auth: who is calling
//	read       ingress: the whole body
//	understand analyze: bytes -> Ask
//	admit      limits of the caller
//	choose     route.Pick: the failover chain
//	attempts   one after the other, at most one hedge beside: translate, send, wait until the answer speaks
//	stream     upstream -> translation -> client, a flush per read; where it breaks, perhaps another provider goes on (onward.go)
//	finish     exactly once, whatever happened: the record
//
// handler.go is the story. An exchange (exchange.go) is a request's notebook, owned by the goroutine that serves it. A try (try.go) is one
// attempt: what it reserves (reserve.go), what it may race against (race.go), how it is refused (refusal.go) and what it leaves behind
// (books.go). A watch (watch.go) is what happens by the clock: overdue first tokens and their hedges, time limits, pings. Besides a request's
// own goroutine there is at most one more, its hedge; finish waits for it.
//
// What holds here: the client gets exactly one terminal answer (I1); bytes of two attempts never mix, and no attempt begins after the first
// byte to the client (I2), but for a continuation, whose bytes make one well-formed stream with those before; every request gives exactly
// one record, every attempt exactly one outcome; a client that leaves cancels what runs for it at every stage, and nobody is charged.
package proxy
