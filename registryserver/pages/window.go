package pages

import (
	"net/http"
	"net/url"
)

// pageSize is how many rows a page has at most.
const pageSize = 50

// window is the part of a list that one page shows, and what leads to the others.
// A page is named by the row before it, so that it stays where it is when rows come
// and go elsewhere.
type window struct {
	From, To, Total       int // of the rows, the first is 1
	First, Previous, Next string
}

// paginate cuts the rows from start on out of total; key names a row.
func paginate(r *http.Request, total, start int, key func(i int) string) window {
	end := min(start+pageSize, total)
	w := window{From: start + 1, To: end, Total: total}
	at := func(before int) string {
		q := url.Values{}
		if search := r.URL.Query().Get("q"); search != "" {
			q.Set("q", search)
		}
		if before >= 0 {
			q.Set("after", key(before))
		}
		return "?" + q.Encode()
	}
	if start > 0 {
		w.First, w.Previous = at(-1), at(max(start-pageSize, 0)-1)
	}
	if end < total {
		w.Next = at(end - 1)
	}
	return w
}
