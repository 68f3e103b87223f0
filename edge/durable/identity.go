package durable

// Identity says which file a file is, whatever its name is now. The zero value
// says that the file system does not tell.
type Identity struct {
	Device, Inode uint64
	// Born is when the file was made, in nanoseconds since 1970 UTC: an inode is
	// used again after its file was removed. 0: the file system does not tell.
	Born int64
}

// IsKnown tells whether the file system tells files apart.
func (i Identity) IsKnown() bool { return i.Inode != 0 }

// Description is what an open file is at one moment.
type Description struct {
	Identity
	Size     int64
	Modified int64  // when it was written last, in nanoseconds since 1970 UTC; 0: not known
	Links    uint64 // its names; 0: it was removed, or the file system does not tell
}

// Describer is a File that knows which file it is.
type Describer interface {
	Describe() (Description, error)
}

// Describe describes an open file. Of a File that is no Describer only the size
// is known.
func Describe(f File) (Description, error) {
	if d, ok := f.(Describer); ok {
		return d.Describe()
	}
	size, err := f.Size()
	return Description{Size: size}, err
}
