// Package limit holds requests, tokens and money within what all nodes together may use, and decides from memory.
//
// What is limited is a scope: all requests, a caller's key, a team, a provider, a model at a provider, a key of a provider. Before each scope stands a gate of meters,
// one for each of its limits as this node sees it. A request takes of all its gates or of none, by atomics. What a meter may give out was
// fetched ahead of need, by one goroutine (Run), from a Source that shares each limit out among the nodes:
//
//	request -> Admit, Enter -> gates -> meters (atomics)
//	              | full                  ^ allowance, stock    | wanted, used, owed
//	              v                       |                     v
//	            Wait: in turn           Run: every tick, or at once when a meter runs low -> Source (memory, or Redis by script)
//
// Slots, for requests in flight, are leased: a node's lease ends by itself, on the node's clock before on the source's, so a dead node's
// slots return and a cut-off node does not use what others were given; and what a node is to hold less, others get when it has said that
// it does (lease.go). Units, for requests and tokens per minute, are drawn in blocks from a window over the last minute, and what was
// drawn too much or too little is settled later (window.go). Money is spent from budgets of a day or a month, as sums that each node
// says again and again (budget.go), beside what the ledger of usage knows (ledger.go). All three are pure arithmetic; the scripts for Redis
// do the same, and a test holds them together.
//
// The gates of callers are made when they call and go when they are quiet (callers.go): thousands of keys cost what those who call cost.
//
// What holds: requests in flight <= cap + X, where X is what cut-off nodes still had in flight, or their fair shares if these are more.
// Every node tells its part of X (Sign.Beyond). In strict mode X is 0: what a cut-off node may have in flight nobody is given for as long
// as a request may take, and a source that has lost its memory gives nothing away before all who may hold some have spoken (lease.go). A caller who was quiet is let in on the node's fair share until the source has answered, a few
// milliseconds. Units admitted in any 60 s <= limit + for each node its block and the last request that found
// the stock not empty, which is let in whole and whose excess is a debt; budgets likewise. Where the source falls silent in a minute, what was
// left of the limit then may be drawn twice.
//
// Without an answer from the source a meter falls back, when its lease has run out, to what its mode says: its fair share (bounded), nothing
// (strict), everything (open). The request path notices nothing of a source that is slow, hangs or is gone.
package limit
