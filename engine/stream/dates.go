package stream

// How many dates a Sink that files rows by date opens for an epoch, beside those within
// a day of the date on which their block landed. A row of another date then goes under
// the date on which it landed; its event time stays what it is.
const (
	// MaxFarDates is for one gateway.
	MaxFarDates = 64
	// MaxAllFarDates is for all gateways of a task together.
	MaxAllFarDates = 512
)

// Dated is a Stage that files rows by date.
type Dated interface {
	// ManyDates says that half of what a gateway may open, or all of them together, is
	// open: an epoch that has enough records should end, so that nothing is filed
	// elsewhere. Once true it stays so.
	ManyDates() bool
	// Dates returns how many dates each gateway has open that count for MaxFarDates.
	Dates() map[string]int
	// Elsewhere returns how many rows of each gateway went under the date on which they
	// landed because of MaxFarDates and MaxAllFarDates.
	Elsewhere() map[string]uint64
}
