package server

// LandingStats are landing.Stats as they stand in a Status.
type LandingStats struct {
	Commits        uint64 `json:"commits"`
	Blocks         uint64 `json:"blocks"`
	Bytes          uint64 `json:"bytes"`
	Full           uint64 `json:"full"`
	Failed         uint64 `json:"failed"`
	DamagedOffsets uint64 `json:"damaged_offsets"`
	BadMarks       uint64 `json:"bad_marks"`
}
