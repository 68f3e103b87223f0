package source

import (
	"cmp"

	"landfall/decoders/sensor"
	"landfall/decoders/sensor/sparkplug"
)

// What a source holds at most, bytes: what its parts are bounded to, with what each
// costs beside its bytes. docs/configuration.md has the same figures, and
// cmd/internal/lifetest takes real sources to them.
const (
	lineConnMemory = 110 << 10 // a connection that sends the shortest lines
	relayMemory    = relayClients * (relayBytes + 32<<10)
	udpMemory      = readBytes + udpBatchMemory
	udpBatchMemory = 256 << 10
	senderMemory   = 8 << 10
	ackedMemory    = 320 << 10 // a client
	markMemory     = 1 << 10   // a sender that is known
	fileMemory     = 3 << 20
	nodesMemory    = maxNodes * 256
	modbusMemory   = 256 << 10
	rememberMemory = 96 // a message
	// jsonMemory is what names of fields take while a JSON payload is read; jsonTimes is how
	// many times its size a payload of any kind takes besides.
	jsonMemory = sensor.MaxFields * sensor.MaxNameBytes
	jsonTimes  = 8
)

// LineMemory returns what a source of one connection or port with lines holds at most,
// bytes.
func LineMemory() int64 { return lineConnMemory }

// TCPServerMemory returns what a TCPServer holds at most, bytes, with MaxClients.
func TCPServerMemory(clients int) int64 {
	return int64(cmp.Or(clients, defaultClients)) * lineConnMemory
}

// UDPMemory returns what a UDP holds at most, bytes, with MaxSenders.
func UDPMemory(senders int) int64 {
	return udpMemory + int64(cmp.Or(senders, defaultSenders))*senderMemory
}

// AckedMemory returns what an Acked holds at most, bytes, with MaxClients and MaxSenders.
func AckedMemory(clients, senders int) int64 {
	return int64(cmp.Or(clients, defaultClients))*ackedMemory + int64(cmp.Or(senders, defaultAckedSenders))*markMemory
}

// FileMemory returns what a File holds at most, bytes.
func FileMemory() int64 { return fileMemory }

// NodeMemory returns what a Node holds at most, bytes.
func NodeMemory() int64 { return nodesMemory }

// ModbusMemory returns what a Modbus holds at most, bytes.
func ModbusMemory() int64 { return modbusMemory }

// RelayMemory returns what the clients of a Relay hold at most, bytes.
func RelayMemory() int64 { return relayMemory }

// brokerMemory is what a link to a broker holds at most.
func brokerMemory(payload int) int64 {
	payload = cmp.Or(payload, DefaultMaxPayload)
	return max(mqttQueueBytes, int64(payload)) + int64(payload) + connBuffer
}

// MQTTMemory returns what an MQTT holds at most, bytes, with MaxPayload and Remember.
func MQTTMemory(payload, remember int) int64 {
	return brokerMemory(payload) + jsonMemory + jsonTimes*int64(cmp.Or(payload, DefaultMaxPayload)) +
		int64(cmp.Or(remember, DefaultRemember))*rememberMemory
}

// SparkplugMemory returns what a Sparkplug holds at most, bytes, with MaxPayload.
func SparkplugMemory(payload int) int64 {
	return brokerMemory(payload) + sparkplug.MaxBytes + jsonTimes*int64(cmp.Or(payload, DefaultMaxPayload))
}
