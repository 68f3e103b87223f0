package ais

// The binary messages (ITU-R M.1371-5, annex 8, 3.4, 3.6, 3.23, 3.24): whose
// application they are of, the application's bits, and, for the applications
// that are in open use, their fields.

// Where the application's bits begin in types 6 and 8.
const (
	addressedData = 88
	broadcastData = 56
)

// addressedBinary: type 6.
func (r *Rows) addressedBinary(b *bits) {
	r.setBinary(b, addressedData)
	x := &r.Binary
	x.Sequence = Some(uint8(b.uint(38, 2)))
	x.DestMMSI = Some(b.uint(40, 30))
	x.Retransmit = Some(b.flag(70))
	dac, fid := b.uint(72, 10), b.uint(82, 6)
	x.DAC, x.FID = Some(uint16(dac)), Some(uint8(fid))
	switch {
	case (dac == 235 || dac == 250) && fid == 10:
		x.Monitor.read(b)
	}
}

// broadcastBinary: type 8.
func (r *Rows) broadcastBinary(b *bits) {
	r.setBinary(b, broadcastData)
	dac, fid := b.uint(40, 10), b.uint(50, 6)
	r.Binary.DAC, r.Binary.FID = Some(uint16(dac)), Some(uint8(fid))
	switch {
	case dac == 1 && fid == 31:
		r.Binary.Weather.read289(b)
	case dac == 1 && fid == 11:
		r.Binary.Weather.read236(b)
	case dac == 200 && fid == 10:
		r.inlandShip(b)
	}
}

// setBinary begins a Binary row with the bits from offset, which is whole bytes.
func (r *Rows) setBinary(b *bits, offset int) {
	r.Binary = Binary{Header: r.Header, Data: b.buf[offset/8 : b.end], DataBits: b.n - offset}
	r.HasBinary = true
}
