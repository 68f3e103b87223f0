// Package vm boots a small Debian with its own kernel and systemd in QEMU, for
// the tests of what a container cannot show: a serial adapter that is unplugged,
// a driver's counters, a unit's DeviceAllow and MemoryMax.
//
// In:  root, mmdebstrap and QEMU on this machine, and a Debian mirror that apt
// knows.
// Out: a Machine: a root shell in it, a folder it shares with this machine, and USB
// serial adapters that are plugged in and pulled out (its driver ftdi_sio sees a
// true FT232).
//
// Invariants
//
//  1. Nothing reaches the machine but its shell. It reaches what this machine
//     does, and this machine's loopback as 10.0.2.2.
//  2. It ends with its test, whatever the test did.
//  3. What this machine cannot do is a skip that says why, and with CI=true a
//     failure.
//
// QEMU emulates the processor: it is some 20 times slower than this machine, and
// boots in half a minute. A Machine belongs to one goroutine.
package vm
