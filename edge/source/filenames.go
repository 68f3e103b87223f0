package source

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// rank is the place that a rotated file's name claims.
type rank struct {
	kind   rankKind
	number int    // of rankNumber
	date   string // of rankDate
}

// rankKind is how files are named when they are rotated.
type rankKind uint8

const (
	rankNone   rankKind = iota
	rankNumber          // .1, .2: the higher, the older
	rankDate            // -20261130: the lower, the older
)

// compare tells whether r's name claims to be older (negative) or newer (positive)
// than o's; ok: the names can be compared.
func (r rank) compare(o rank) (order int, ok bool) {
	if r.kind != o.kind || r.kind == rankNone {
		return 0, false
	}
	if r.kind == rankNumber {
		return o.number - r.number, true
	}
	return strings.Compare(r.date, o.date), true
}

// rotatedName tells whether name is that of a rotated copy of base: base, or base
// without its extension, then numbers, dates and dots, then that extension again
// where it was taken off, perhaps .gz. Or it is base, an hour and .backup: so logrotate
// names a file that it finds under the path when it makes the new one.
func rotatedName(base, name string) (rank, bool) {
	if hour, ok := strings.CutPrefix(strings.TrimSuffix(name, ".backup"), base+"-"); ok && strings.HasSuffix(name, ".backup") {
		return rank{}, hour != "" && strings.Trim(hour, "0123456789") == ""
	}
	for _, packed := range []string{".gz", ".xz", ".bz2", ".zst"} {
		name = strings.TrimSuffix(name, packed)
	}
	if suffix, ok := strings.CutPrefix(name, base); ok {
		return suffixRank(suffix)
	}
	ext := filepath.Ext(base)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(base, ext))
	suffix, ends := strings.CutSuffix(rest, ext)
	if !ok || !ends || ext == "" || suffix == "" || !strings.ContainsAny(suffix[:1], ".-_") {
		return rank{}, false
	}
	return suffixRank(suffix)
}

func suffixRank(suffix string) (rank, bool) {
	if suffix == "" || strings.Trim(suffix, "0123456789.-_TZ") != "" {
		return rank{}, false
	}
	digits := strings.TrimLeft(suffix, ".-_")
	if n, err := strconv.Atoi(digits); err == nil && len(digits) < 6 {
		return rank{kind: rankNumber, number: n}, true
	}
	if len(digits) >= 6 {
		return rank{kind: rankDate, date: digits}, true
	}
	return rank{}, true
}

// isPackedName tells whether a name is a packed file's: nobody adds to that.
func isPackedName(name string) bool { return unpackedName(name) != name }

// unpackedName is the name without .gz.
func unpackedName(name string) string { return strings.TrimSuffix(name, ".gz") }

// sortOldestFirst orders files by what their names claim, where names can be
// compared, and puts the others between them by when they were written last. Numbers
// that rise with time, as the files' times show, are taken the other way round.
func sortOldestFirst(files []*sibling) {
	slices.SortStableFunc(files, func(a, b *sibling) int {
		switch {
		case a.about.Modified != b.about.Modified:
			return sign(a.about.Modified - b.about.Modified)
		default:
			order, _ := a.rank.compare(b.rank)
			return order
		}
	})
	var ranked, others []*sibling
	kind := commonKind(files)
	for _, s := range files {
		if kind != rankNone && s.rank.kind == kind {
			ranked = append(ranked, s)
		} else {
			others = append(others, s)
		}
	}
	if rising(ranked) {
		for _, s := range ranked {
			s.rank.number = -s.rank.number
		}
	}
	slices.SortStableFunc(ranked, func(a, b *sibling) int {
		order, _ := a.rank.compare(b.rank)
		return order
	})
	for _, o := range others {
		i := slices.IndexFunc(ranked, func(r *sibling) bool { return r.about.Modified > o.about.Modified })
		if i < 0 {
			i = len(ranked)
		}
		ranked = slices.Insert(ranked, i, o)
	}
	copy(files, ranked)
}

// commonKind is how most of the files are named that have a rank.
func commonKind(files []*sibling) rankKind {
	numbers, dates := 0, 0
	for _, s := range files {
		switch s.rank.kind {
		case rankNumber:
			numbers++
		case rankDate:
			dates++
		}
	}
	switch {
	case numbers > 0 && numbers >= dates:
		return rankNumber
	case dates > 0:
		return rankDate
	}
	return rankNone
}

// rising tells, of files ordered by when they were written last, whether their
// numbers rise with time: in every pair whose times differ, and in two pairs at
// least.
func rising(files []*sibling) bool {
	up := 0
	for i := 1; i < len(files); i++ {
		a, b := files[i-1], files[i]
		if a.rank.kind != rankNumber || b.rank.kind != rankNumber {
			return false
		}
		if a.about.Modified == b.about.Modified {
			continue
		}
		if order, _ := b.rank.compare(a.rank); order > 0 {
			return false
		}
		up++
	}
	return up >= 2
}

func sign(n int64) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
