package source

// GapsIn returns how many gaps a position of files counts and the last one in words, as
// the Status of a File that goes on there says them; 0 for what is not such a position.
func GapsIn(position []byte) (n uint64, last string) {
	p, err := decodeFilePosition(position)
	if err != nil || p.gaps == 0 {
		return 0, ""
	}
	return p.gaps, p.gap.text()
}
