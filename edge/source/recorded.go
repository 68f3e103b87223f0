package source

import "landfall/edge/durable"

// Recorded reads the content of a recorded file once from the front, unpacking
// gzip. It belongs to one goroutine.
type Recorded struct {
	content *content
	size    int64
}

// OpenRecorded opens a plain or gzip file; gzip is told by its magic, not by
// the name.
func OpenRecorded(fs durable.FS, path string) (*Recorded, error) {
	c, err := openContent(fs, path)
	if err != nil {
		return nil, err
	}
	size, err := c.file.Size()
	if err != nil {
		c.close()
		return nil, err
	}
	return &Recorded{content: c, size: size}, nil
}

// Read implements io.Reader over the unpacked content.
func (r *Recorded) Read(p []byte) (int, error) { return r.content.Read(p) }

// Progress gives how many bytes of the file itself were read, and its size.
func (r *Recorded) Progress() (read, size int64) { return r.content.raw, r.size }

// Close ends reading.
func (r *Recorded) Close() error {
	r.content.close()
	return nil
}
