//go:build unix && !linux && !aix && !solaris && !illumos

package durable

// Describe implements Describer with fstat(2).
func (o *osFile) Describe() (Description, error) { return o.describeByStat() }
