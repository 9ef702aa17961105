// Package fleet is the cluster's judgement: what every node saw, what the operator asked for and the time go in; health, weights, probe grants and the reasons come out.
//
// # Who judges
//
// Every replica feeds its own Fleet with everything that is heard, and only the leader's judges. A follower's keeps the evidence warm and takes
// the circuits over from what the leader says (Follow). So a change of leader changes no circuit: the new one goes on from the state that
// everybody knows, and the evidence that the old one had not judged yet is there to be judged at its first Step.
//
// # Who is charged
//
// There is one circuit for each provider, each model of it and each of its credentials, and a failure is charged to the smallest of them that it
// implies: a refused connection to the provider, a 500 to the model, a 401 to the key. A provider is besides only as well as the best of its
// models in use, and is out when all of its keys are refused. Throttling (429) blocks its key for as long as it says and opens nothing.
//
// # Regions
//
// A Fleet judges for the nodes of its region, by what they see. The leaders of the regions tell each other once a second, and at once when a circuit
// changes, which circuits are open by their own evidence and how much their nodes ask for. A circuit opens by others' word (heed.go) when two
// of them say so, or, for a model, those from where half of its usual requests come, or, for a credential, one; but not while the own nodes get good
// answers, and that a provider cannot be reached from one region says nothing about another. It closes when they take their word back, or when the own
// probes pass: then they are not believed about that target for a while. And each region takes its part of every limit (share.go), by what
// all of them ask for.
//
// # What protects from too much zeal
//
// The panic guard: health takes no more than a third of a route's capacity away, and never the last candidate; what would open beyond that is
// made the last resort instead. One target may always open as long as another can be tried, however large its share: a route of two would
// otherwise have no circuit at all. What one provider serves alone is not guarded: its nodes try it even if it is out. A credential that is refused, and what an operator decides, are no matter of health and not guarded.
//
// The outlier: a node whose answers from a target fail while everybody else's succeed, or whose first tokens take three times as long as everybody
// else's, has a trouble of its own. It is told so, and its word about that target counts for a tenth.
//
// Learning: a control plane that has just started may open circuits, but closes none and raises none for three seconds, in which the nodes tell what
// they know. And a new leader grants no probe until every probe that the last one may have granted is over.
package fleet
