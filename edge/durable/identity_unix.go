//go:build unix && !aix && !solaris && !illumos

package durable

import "syscall"

// describeByStat is Describe without a time of birth.
func (o *osFile) describeByStat() (Description, error) {
	info, err := o.f.Stat()
	if err != nil {
		return Description{}, wrap(err)
	}
	d := Description{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		d.Identity, d.Links = Identity{Device: uint64(st.Dev), Inode: uint64(st.Ino)}, uint64(st.Nlink)
	}
	return d, nil
}
