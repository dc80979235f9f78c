package registryserver

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"runtime"
	rtmetrics "runtime/metrics"
	"strconv"
	"strings"
	"time"
)

const metricsPath = "/metrics"

// exposition is text in the format of Prometheus, version 0.0.4.
type exposition struct{ bytes.Buffer }

// family begins the samples of one name.
func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes one; labels come in pairs.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.WriteByte("{,"[min(i, 1)])
		e.WriteString(labels[i] + `="` + labelEscapes.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 0 {
		e.WriteByte('}')
	}
	e.WriteByte(' ')
	e.Write(strconv.AppendFloat(e.AvailableBuffer(), value, 'g', -1, 64))
	e.WriteByte('\n')
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// single is a family of one sample.
func (e *exposition) single(name, kind, help string, value float64, labels ...string) {
	e.family(name, kind, help)
	e.sample(name, value, labels...)
}

// writeMetrics answers GET /metrics.
func (s *server) writeMetrics(w *recorder, r *http.Request) {
	var e exposition
	s.requestMetrics(&e)
	s.uploadMetrics(&e, r)
	if c := s.o.Certificates; c != nil {
		c.metrics(&e)
	}
	e.single("dist_build_info", "gauge", "Always 1; the labels say what is running.", 1,
		"version", s.o.Version, "goversion", runtime.Version())
	processMetrics(&e, s.metrics.started)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(e.Len()))
	_, _ = w.Write(e.Bytes())
}

// requestMetrics writes what is counted for each request. A series that no request
// has touched is left out.
func (s *server) requestMetrics(e *exposition) {
	m := &s.metrics
	e.family("dist_http_requests_total", "counter", "Requests answered, by kind of path, method and class of status.")
	m.each(func(s *series, kind, method string) {
		for i, class := range statusClasses {
			if n := s.answers[i].Load(); n > 0 {
				e.sample("dist_http_requests_total", float64(n), "kind", kind, "method", method, "status", class)
			}
		}
	})
	e.family("dist_http_request_duration_seconds", "histogram", "Time from the head of a request to the end of its answer.")
	m.each(e.histogram)
	e.single("dist_http_requests_in_flight", "gauge", "Requests being answered.", float64(m.inFlight.Load()))
	e.single("dist_http_received_bytes_total", "counter", "Bytes of the bodies of requests.", float64(m.received.Load()))
	e.single("dist_http_sent_bytes_total", "counter", "Bytes of the bodies of answers.", float64(m.sent.Load()))
	e.single("dist_panics_total", "counter", "Requests that ended in a fault of the program.", float64(m.panics.Load()))
	e.family("dist_refused_total", "counter", "What was refused because of a limit.")
	e.sample("dist_refused_total", float64(m.refusedRequests.Load()), "limit", "requests")
	e.sample("dist_refused_total", float64(m.refusedUploads.Load()), "limit", "uploads")
	e.sample("dist_refused_total", float64(m.refusedBlobs.Load()), "limit", "blob")
}

// each calls f for every series that has counted something.
func (m *metrics) each(f func(s *series, kind, method string)) {
	for k, kind := range kinds {
		for i, method := range methods {
			if s := &m.series[k][i]; s.any() {
				f(s, string(kind), method)
			}
		}
	}
}

func (s *series) any() bool {
	for i := range s.answers {
		if s.answers[i].Load() > 0 {
			return true
		}
	}
	return false
}

func (e *exposition) histogram(s *series, kind, method string) {
	const name = "dist_http_request_duration_seconds"
	var below int64
	for i := range s.took {
		below += s.took[i].Load()
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		e.sample(name+"_bucket", float64(below), "kind", kind, "method", method, "le", le)
	}
	e.sample(name+"_sum", time.Duration(s.sum.Load()).Seconds(), "kind", kind, "method", method)
	e.sample(name+"_count", float64(below), "kind", kind, "method", method)
}

func (s *server) uploadMetrics(e *exposition, r *http.Request) {
	if !s.o.Writable {
		return
	}
	if n, err := s.sessions.count(r.Context(), countAge); err == nil {
		e.single("dist_uploads_open", "gauge", "Upload sessions that have begun and not ended.", float64(n))
	}
	e.family("dist_uploads_total", "counter", "Upload sessions that have ended.")
	e.sample("dist_uploads_total", float64(s.metrics.uploadsFinished.Load()), "result", "finished")
	e.sample("dist_uploads_total", float64(s.metrics.uploadsCancelled.Load()), "result", "cancelled")
	e.sample("dist_uploads_total", float64(s.metrics.uploadsFailed.Load()), "result", "failed")
}

// processMetrics writes what is known of any Go program, under the names that are
// usual for it.
func processMetrics(e *exposition, started time.Time) {
	samples := []rtmetrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	rtmetrics.Read(samples)
	value := func(i int) float64 {
		if samples[i].Value.Kind() != rtmetrics.KindUint64 {
			return 0
		}
		return float64(samples[i].Value.Uint64())
	}
	e.single("go_goroutines", "gauge", "Goroutines that there are.", value(0))
	e.single("go_memstats_heap_alloc_bytes", "gauge", "Bytes of objects on the heap.", value(1))
	e.single("go_memstats_sys_bytes", "gauge", "Bytes that the Go runtime has from the system.", value(2))
	e.single("go_gc_cycles_total", "counter", "Collections that have ended.", value(3))
	e.single("process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.",
		float64(started.UnixMilli())/1000)
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil { // Linux
		e.single("process_open_fds", "gauge", "Open file descriptors.", float64(len(fds)-1))
	}
	if pages, ok := residentPages(); ok {
		e.single("process_resident_memory_bytes", "gauge", "Bytes of the process in memory.", pages*float64(os.Getpagesize()))
	}
}

// residentPages reads the second field of Linux's statm.
func residentPages() (float64, bool) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, false
	}
	n, err := strconv.ParseFloat(fields[1], 64)
	return n, err == nil
}
