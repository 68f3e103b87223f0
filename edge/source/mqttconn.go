package source

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// openBroker connects to a broker over TCP, with TLS for mqtts, or over a websocket.
func openBroker(u *url.URL, o *mqtt.ClientOptions) (net.Conn, error) {
	if u.Scheme == "ws" || u.Scheme == "wss" {
		return mqtt.NewWebsocket(u.String(), o.TLSConfig, o.ConnectTimeout, o.HTTPHeaders, o.WebsocketOptions)
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.ConnectTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "mqtts" {
		secure := tls.Client(conn, tlsFor(u, o.TLSConfig))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = &frankConn{Conn: secure}
	}
	return conn, nil
}

// tlsFor names the broker, as it is named in the URL, where the configuration
// names none.
func tlsFor(u *url.URL, c *tls.Config) *tls.Config {
	if c = c.Clone(); c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.ServerName == "" {
		c.ServerName = u.Hostname()
	}
	return c
}

// frankConn says why a broker ended a connection. In TLS 1.3 a client's handshake is
// over before the broker has judged its certificate (RFC 8446, 4.4.2): what follows
// fails as a broken connection, while the alert that says why lies unread.
type frankConn struct{ *tls.Conn }

// alertWait is how long an alert is waited for that was sent before the connection
// broke.
const alertWait = time.Second

// Write implements io.Writer. Once it fails nothing more is written or read.
func (c *frankConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	var alert *net.OpError
	if err != nil && c.SetReadDeadline(time.Now().Add(alertWait)) == nil {
		if _, why := c.Conn.Read(make([]byte, 1)); errors.As(why, &alert) && alert.Op == "remote error" {
			err = why
		}
	}
	return n, err
}
