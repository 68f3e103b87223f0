package clock

// Refusal is why what somebody says of the time is not believed.
type Refusal uint8

// The refusals.
const (
	NotRefused          Refusal = iota
	BeforeFloor                 // a date before this program was made, or before the engine's last proven word
	AgainstAuthority            // it contradicts the engine or a machine's clock that is kept
	JumpForward                 // days ahead of what the engine said over plain HTTP
	LoneStation                 // one base station alone tells the date
	Delays                      // the source is known to delay what it brings
	Outvoted                    // more agree on another time
	SensorsAlone                // sensors are believed only where the clock was never set
	AuthoritiesDisagree         // the engine and the machine's keeper contradict each other
	refusals
)

var refusalNames = [refusals]string{
	"", "before_floor", "contradicts_authenticated", "jump_forward", "lone_station", "delays", "outvoted",
	"sensors_alone", "authorities_disagree",
}

// String returns the name used by status and metrics; empty: not refused.
func (r Refusal) String() string {
	if r < refusals {
		return refusalNames[r]
	}
	return "unknown"
}

// Refusals lists them all, for counters.
func Refusals() []Refusal {
	var all []Refusal
	for r := BeforeFloor; r < refusals; r++ {
		all = append(all, r)
	}
	return all
}
