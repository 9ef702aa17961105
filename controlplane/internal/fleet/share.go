package fleet

// What is limited for the whole cluster is apportioned to the regions, and each region's Redis to its nodes. Each region computes its own part,
// from what all regions ask for, and says what it takes; it takes more only of what the others have said that they do not take. So the parts are
// never more than the whole for longer than a message takes, and a region that is cut off keeps its part until it is forgotten.

// regionFloor is the part of everything that is divided evenly among the regions, whatever they use.
const regionFloor = 0.2

// shareSlack is the change of a part that is not worth a word.
const shareSlack = ppm / 64

// claim is what another region asks for, and takes.
type claim struct {
	demand demand
	share  uint32
}

// apportion computes this region's part of everything.
func (f *Fleet) apportion(nowMS int64) {
	if !f.moved && len(f.regions) == 0 {
		return
	}
	f.moved = false
	claims := f.claims[:0]
	for _, r := range f.regions {
		if r.heardMS == 0 { // nobody has said what its nodes take
			r.share, r.idle = f.idleShare(), f.idleShare()
		}
		claims = append(claims, claim{r.demand, r.share})
	}
	f.share = f.take(f.demand(nowMS), f.share, claims)
	for _, u := range f.order {
		if u.key.credential != "" {
			continue // a key's part is its provider's
		}
		claims = claims[:0]
		for _, r := range f.regions {
			t, told := r.targets[u.key]
			if !told {
				t.share = r.idle
			}
			claims = append(claims, claim{t.demand, t.share})
		}
		u.share = f.take(u.demand(nowMS), u.share, claims)
	}
	f.claims = claims[:0]
}

// take decides what this region takes of something, having taken so much until now.
func (f *Fleet) take(own demand, have uint32, others []claim) uint32 {
	all, left := own, ppm
	for _, o := range others {
		all.rate, all.inFlight = all.rate+o.demand.rate, all.inFlight+o.demand.inFlight
		left -= int(o.share)
	}
	even := 1 / float64(len(others)+1)
	used, of := 0.0, 0.0
	if all.rate > 0 {
		used, of = used+own.rate/all.rate, of+1
	}
	if all.inFlight > 0 {
		used, of = used+own.inFlight/all.inFlight, of+1
	}
	want := even
	if of > 0 {
		want = regionFloor*even + (1-regionFloor)*used/of
	}
	next := max(min(int(want*ppm), max(left, int(have))), 1)
	if left < int(have) { // together they take more than there is
		next = min(next, max(int(want*ppm), left, 1))
	}
	if gap := next - int(have); gap > -shareSlack && gap < shareSlack && left >= int(have) && len(others) > 0 {
		return have
	}
	f.tell = f.tell || next != int(have)
	return uint32(next)
}

// idleShare is the part that this region takes of what nobody has asked for anything.
func (f *Fleet) idleShare() uint32 { return ppm / uint32(len(f.regions)+1) }
