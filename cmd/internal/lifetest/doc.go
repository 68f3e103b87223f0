// Package lifetest holds tests only: real daemons as a service manager and an
// operator treat them. They are told to stop, to read their configuration
// again, and to prove that they live; their certificates are renewed, refused
// and revoked; what they listen on is looked up in the kernel's tables.
//
// The daemons are built with failpoints, which are nothing until a test arms
// one, and run as processes of their own, over TCP and TLS.
package lifetest
