package oci

import (
	"fmt"
	"strconv"
)

// HumanSize writes n bytes for people: in binary units, with one decimal from KiB
// on. What is not known, and so negative, is "?".
func HumanSize(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1024:
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n)/1024, 0
	for v >= 1023.95 && unit < 5 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}

// ShortDigest writes d for people: its algorithm and twelve digits; "-" for none.
func ShortDigest(d Digest) string {
	if d == "" {
		return "-"
	}
	hex := d.Encoded()
	return d.Algorithm().String() + ":" + hex[:min(12, len(hex))]
}
