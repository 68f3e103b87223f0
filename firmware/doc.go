// Package firmware is tests only: it builds the sensor node's code and runs its
// host tests, which cut the power of a simulated flash at every byte of every
// operation. The code is C and lies in src/ and board/; README.md describes it,
// its protocol and its flash. The node in QEMU, at a real gateway, is tested in
// cmd/internal/crashtest.
package firmware
