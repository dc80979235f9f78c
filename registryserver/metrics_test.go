package registryserver_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/oci"
	"dist.example/registryserver"
)

var (
	metricName   = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	metricLabels = regexp.MustCompile(`^\{[a-z]+="([^"\\]|\\["\\n])*"(,[a-z]+="([^"\\]|\\["\\n])*")*\}`)
)

// parseMetrics reads Prometheus' text format, and is the first rule of it that text
// breaks. The samples are by name and labels.
func parseMetrics(text string) (map[string]float64, error) {
	samples, types := map[string]float64{}, map[string]string{}
	family := ""
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		line := sc.Text()
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if _, ok := types[family]; ok {
				return nil, fmt.Errorf("two families %s", family)
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if name != family || (kind != "counter" && kind != "gauge" && kind != "histogram") {
				return nil, fmt.Errorf("%s after HELP of %s", line, family)
			}
			types[name] = kind
			continue
		}
		name := metricName.FindString(line)
		base := name
		if types[family] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
		}
		labels := metricLabels.FindString(line[len(name):])
		value, ok := strings.CutPrefix(line[len(name)+len(labels):], " ")
		v, err := strconv.ParseFloat(value, 64)
		if name == "" || base != family || !ok || err != nil {
			return nil, fmt.Errorf("%q is no sample of %s", line, family)
		}
		if _, ok := samples[name+labels]; ok {
			return nil, fmt.Errorf("two samples %s", name+labels)
		}
		samples[name+labels] = v
	}
	return samples, nil
}

// Buckets count upwards, the last one everything.
func checkHistograms(t *testing.T, text string, samples map[string]float64) {
	t.Helper()
	last := 0.0
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, " ")
		name, labels, ok := strings.Cut(key, `,le="`)
		if !ok {
			continue
		}
		v := samples[key]
		if v < last {
			t.Errorf("%s is less than the bucket below it", key)
		}
		last = v
		if strings.HasPrefix(labels, "+Inf") {
			if count := samples[strings.Replace(name, "_bucket{", "_count{", 1)+"}"]; count != v {
				t.Errorf("%s is %v, and the count %v", key, v, count)
			}
			last = 0
		}
	}
}

func (r *rig) metrics() map[string]float64 {
	r.Helper()
	a := r.do("GET", "/metrics", nil)
	r.want(a, 200)
	r.wantHeader(a, "Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	samples, err := parseMetrics(string(a.body))
	if err != nil {
		r.Fatalf("%v in\n%s", err, a.body)
	}
	checkHistograms(r.T, string(a.body), samples)
	return samples
}

func TestMetricsCount(t *testing.T) {
	r := newRig(t, registryserver.Options{Writable: true, Version: "v1 \"\\\n"})
	r.metrics()
	r.want(r.pushManifest("/v2/very-secret/manifests/v1", r.imageIn("very-secret", "one"), oci.MediaTypeManifest), 201)
	r.want(r.do("GET", "/v2/very-secret/manifests/v1", nil), 200)
	r.want(r.do("GET", "/v2/very-secret/manifests/v2", nil), 404)
	r.want(r.do("BREW", "/v2/", nil), 405)
	r.do("POST", "/v2/app/blobs/uploads/", nil)
	r.want(r.do("DELETE", r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location"), nil), 204)
	got := r.metrics()
	for key, want := range map[string]float64{
		`dist_http_requests_total{kind="manifest",method="PUT",status="2xx"}`:    1,
		`dist_http_requests_total{kind="manifest",method="GET",status="2xx"}`:    1,
		`dist_http_requests_total{kind="manifest",method="GET",status="4xx"}`:    1,
		`dist_http_requests_total{kind="base",method="other",status="4xx"}`:      1,
		`dist_http_requests_total{kind="uploads",method="POST",status="2xx"}`:    4,
		`dist_http_request_duration_seconds_count{kind="manifest",method="GET"}`: 2,
		`dist_http_requests_in_flight`:                                           1,
		`dist_uploads_total{result="finished"}`:                                  2,
		`dist_uploads_total{result="cancelled"}`:                                 1,
		`dist_uploads_open`:                                                      1,
		`dist_panics_total`:                                                      0,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v, %v; want %v", key, v, ok, want)
		}
	}
	if got["dist_http_received_bytes_total"] < 100 || got["dist_http_sent_bytes_total"] < 100 || got["go_goroutines"] < 1 ||
		got["process_start_time_seconds"] < 1e9 {
		t.Errorf("the counts are %v", got)
	}
	version := false
	for key := range got {
		if strings.Contains(key, "secret") {
			t.Errorf("%s tells of a repository", key)
		}
		version = version || strings.HasPrefix(key, `dist_build_info{version="v1 \"\\\n",`)
	}
	if !version {
		t.Error("there is no dist_build_info")
	}
	r.want(r.do("POST", "/metrics", nil), 405)
}

// discarded is a ResponseWriter that costs nothing.
type discarded struct{ h http.Header }

func (d discarded) Header() http.Header         { return d.h }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// BenchmarkAround is what surrounds every request: its count, its limits and what
// else ServeHTTP does before and after the answer, which is short.
func BenchmarkAround(b *testing.B) {
	h := registryserver.New(memory.New(), registryserver.Options{})
	req := httptest.NewRequestWithContext(b.Context(), "GET", "/v2/", http.NoBody)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := discarded{http.Header{}}
		for pb.Next() {
			h.ServeHTTP(w, req)
		}
	})
}
