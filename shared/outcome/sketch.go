package outcome

import (
	"fmt"
	"math"
	"slices"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
)

// Gamma is the ratio between the bounds of neighbouring buckets: every quantile is within 2 % of the truth.
const Gamma = 1.04

// Buckets is how many buckets a sketch can have: bucket i holds (Gamma^(i-1), Gamma^i] microseconds, 1 <= i <= Buckets, the last
// also everything longer than 2 h 40 min.
const Buckets = 585

var lnGamma = math.Log(Gamma)

// bucketOf returns the bucket of a duration, 0 for at most one microsecond.
func bucketOf(d time.Duration) int {
	if d <= time.Microsecond {
		return 0
	}
	i := int(math.Ceil(math.Log(float64(d)/float64(time.Microsecond)) / lnGamma))
	return min(max(i, 1), Buckets)
}

// middle returns the duration that stands for bucket i: the one with the least relative error to both bounds.
func middle(i int) time.Duration {
	if i <= 0 {
		return time.Microsecond
	}
	us := math.Pow(Gamma, float64(i)) * 2 / (1 + Gamma)
	return time.Duration(us * float64(time.Microsecond))
}

// Sketch is a histogram of durations in logarithmic buckets. The zero value is empty and ready. Not for concurrent use.
//
// Invariant: counts[k] belongs to bucket offset+k, and 1 <= offset, offset+len(counts)-1 <= Buckets when counts is not empty.
type Sketch struct {
	offset int
	counts []uint64
	zeros  uint64
	sumUS  uint64
}

// Add counts one duration.
func (s *Sketch) Add(d time.Duration) {
	i := bucketOf(d)
	if i == 0 {
		s.zeros++
		return
	}
	s.cover(i, i)
	s.counts[i-s.offset]++
	s.sumUS += uint64(d / time.Microsecond)
}

// cover makes room for the buckets from lo to hi.
func (s *Sketch) cover(lo, hi int) {
	if len(s.counts) == 0 {
		s.offset = lo
		s.counts = append(s.counts[:0], make([]uint64, hi-lo+1)...)
		return
	}
	if lo < s.offset {
		s.counts = slices.Insert(s.counts, 0, make([]uint64, s.offset-lo)...)
		s.offset = lo
	}
	if end := s.offset + len(s.counts) - 1; hi > end {
		s.counts = append(s.counts, make([]uint64, hi-end)...)
	}
}

// Reset empties the sketch and keeps its memory.
func (s *Sketch) Reset() { s.offset, s.counts, s.zeros, s.sumUS = 0, s.counts[:0], 0, 0 }

// Merge adds what another source saw.
func (s *Sketch) Merge(o *Sketch) {
	s.zeros += o.zeros
	s.sumUS += o.sumUS
	if len(o.counts) == 0 {
		return
	}
	s.cover(o.offset, o.offset+len(o.counts)-1)
	for k, n := range o.counts {
		s.counts[o.offset+k-s.offset] += n
	}
}

// Raise takes the greater count of every bucket: s and o are two cumulative sketches of one source, in any order.
func (s *Sketch) Raise(o *Sketch) {
	s.zeros = max(s.zeros, o.zeros)
	s.sumUS = max(s.sumUS, o.sumUS)
	if len(o.counts) == 0 {
		return
	}
	s.cover(o.offset, o.offset+len(o.counts)-1)
	for k, n := range o.counts {
		at := o.offset + k - s.offset
		s.counts[at] = max(s.counts[at], n)
	}
}

// Since returns what one source saw between the cumulative sketch earlier and s. Buckets that did not grow count as zero.
func (s *Sketch) Since(earlier *Sketch) Sketch {
	d := Sketch{offset: s.offset, counts: slices.Clone(s.counts), zeros: less(s.zeros, earlier.zeros), sumUS: less(s.sumUS, earlier.sumUS)}
	for k := range d.counts {
		d.counts[k] = less(d.counts[k], earlier.at(s.offset+k))
	}
	return d
}

func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func (s *Sketch) at(bucket int) uint64 {
	if k := bucket - s.offset; k >= 0 && k < len(s.counts) {
		return s.counts[k]
	}
	return 0
}

// Count is how many durations were counted.
func (s *Sketch) Count() uint64 {
	n := s.zeros
	for _, c := range s.counts {
		n += c
	}
	return n
}

// Mean is the mean duration, 0 when nothing was counted.
func (s *Sketch) Mean() time.Duration {
	n := s.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(s.sumUS/n) * time.Microsecond
}

// Typical is the geometric mean, which a few that are very long hardly move; 0 when nothing was counted.
func (s *Sketch) Typical() time.Duration {
	n, sum := s.zeros, uint64(0)
	for k, c := range s.counts {
		n += c
		sum += c * uint64(s.offset+k)
	}
	if n == 0 {
		return 0
	}
	return time.Duration(math.Pow(Gamma, float64(sum)/float64(n)-0.5) * float64(time.Microsecond))
}

// Quantile returns the duration below which the share q of all durations lies, 0 when nothing was counted.
func (s *Sketch) Quantile(q float64) time.Duration {
	n := s.Count()
	if n == 0 {
		return 0
	}
	rank := uint64(max(math.Ceil(q*float64(n)), 1))
	seen := s.zeros
	if seen >= rank {
		return time.Microsecond
	}
	for k, c := range s.counts {
		if seen += c; seen >= rank {
			return middle(s.offset + k)
		}
	}
	return middle(s.offset + len(s.counts) - 1)
}

// Wire returns the sketch as it crosses the bus, nil when it is empty. It shares no memory with s.
func (s *Sketch) Wire() *outcomev1.Sketch {
	lo, hi := s.bounds()
	if lo > hi && s.zeros == 0 {
		return nil
	}
	w := &outcomev1.Sketch{Zeros: s.zeros, SumUs: s.sumUS}
	if lo <= hi {
		w.Offset = int32(s.offset + lo)
		w.Counts = slices.Clone(s.counts[lo : hi+1])
	}
	return w
}

// bounds returns the first and last index of counts that is not zero; first > last when all are.
func (s *Sketch) bounds() (first, last int) {
	last = len(s.counts) - 1
	for last >= 0 && s.counts[last] == 0 {
		last--
	}
	for first <= last && s.counts[first] == 0 {
		first++
	}
	return first, last
}

// ReadSketch reads a sketch from the bus; nil reads as empty. It errs when buckets lie outside 1 … Buckets.
func ReadSketch(w *outcomev1.Sketch) (Sketch, error) {
	if w == nil {
		return Sketch{}, nil
	}
	s := Sketch{zeros: w.GetZeros(), sumUS: w.GetSumUs()}
	n := len(w.GetCounts())
	if n == 0 {
		return s, nil
	}
	offset := int(w.GetOffset())
	if offset < 1 || n > Buckets || offset+n-1 > Buckets {
		return Sketch{}, fmt.Errorf("sketch has buckets %d to %d, outside 1 to %d", offset, offset+n-1, Buckets)
	}
	s.offset, s.counts = offset, slices.Clone(w.GetCounts())
	return s, nil
}
