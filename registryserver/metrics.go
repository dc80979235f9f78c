package registryserver

import (
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"dist.example/registryserver/access"
)

// metrics counts what the server does. Everything is an atomic in a place of its
// own: a request takes no lock. What may stand in a label is in the lists below, and
// never what a client chooses.
type metrics struct {
	started  time.Time
	series   [len(kinds)][len(methods)]series
	inFlight atomic.Int64
	received atomic.Int64 // bytes of bodies
	sent     atomic.Int64
	panics   atomic.Int64

	uploadsFinished  atomic.Int64
	uploadsCancelled atomic.Int64
	uploadsFailed    atomic.Int64

	refusedRequests atomic.Int64
	refusedUploads  atomic.Int64
	refusedBlobs    atomic.Int64
}

// series is one method on one kind of path.
type series struct {
	answers [len(statusClasses)]atomic.Int64
	took    [len(bounds) + 1]atomic.Int64 // by the bound that it stayed below
	sum     atomic.Int64                  // nanoseconds
}

// Kinds of paths beside those of the registry's API.
const (
	kindHealth  Kind = "health"
	kindMetrics Kind = "metrics"
	kindToken   Kind = "token"
)

// The last of kinds, methods and statusClasses stands for all that are not listed.
var (
	kinds = [...]Kind{
		KindBase, KindManifest, KindBlob, KindUploads, KindUpload, KindTags, KindCatalog, KindReferrers,
		kindHealth, kindMetrics, kindToken, KindOther,
	}
	methods = [...]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "other",
	}
	statusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}
	// bounds are the upper ends of the histogram's buckets, in seconds: manifests
	// take less than a millisecond, blobs minutes.
	bounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
)

// kindOf is the kind of path that r is counted as.
func kindOf(path string) Kind {
	switch path {
	case healthPath:
		return kindHealth
	case metricsPath:
		return kindMetrics
	case access.TokenPath:
		return kindToken
	}
	return KindOf(path)
}

// index is where of is in list, the last place if it is nowhere.
func index[T comparable](list []T, of T) int {
	if i := slices.Index(list, of); i >= 0 {
		return i
	}
	return len(list) - 1
}

// count adds one request that is over.
func (m *metrics) count(kind Kind, method string, status int, took time.Duration) {
	s := &m.series[index(kinds[:], kind)][index(methods[:], method)]
	s.answers[min(max(status/100, 1), len(statusClasses))-1].Add(1)
	bucket, _ := slices.BinarySearch(bounds[:], took.Seconds())
	s.took[bucket].Add(1)
	s.sum.Add(int64(took))
}
