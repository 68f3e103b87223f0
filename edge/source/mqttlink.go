package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"golang.org/x/sync/semaphore"
)

// message is one message as the broker sent it.
type message struct {
	topic    string
	payload  []byte
	qos      byte
	retained bool
	again    bool   // the broker says that it has sent it before
	ack      func() // sends the acknowledgement, when its connection still stands
}

// brokerLink keeps a connection to a broker, one paho client after another: a
// client that connects again by itself would keep what it received before, and
// handlers of the old connection would mix with those of the new.
type brokerLink struct {
	cfg        *BrokerConfig
	meter      *meter
	filters    map[string]byte // to QoS
	persistent bool            // the broker keeps the session
	known      bool            // and has one, unless it forgot it; of run's goroutine
	cut        bool            // the broker ended the last connection, and was not asked since; of run's goroutine
	// subscribed, when set, knows what the broker's session may hold besides filters.
	subscribed *subscriptions
	// connected, when set, is called once a connection stands, with what
	// publishes on it; disconnected when it is gone.
	connected    func(publish func(topic string, payload []byte))
	disconnected func()
	// announce has a message without a topic, which no broker sends, go before
	// those of each connection, once its subscriptions stand.
	announce bool
	// writing bounds a write, and how long the library goes on asking on a connection that
	// has ended. 0: mqttTimeout.
	writing time.Duration

	messages chan message
	room     *semaphore.Weighted // bytes of messages that were received and not delivered yet
}

const (
	mqttQueue       = 4096    // messages received and not yet taken
	mqttQueueBytes  = 4 << 20 // of them and those being delivered; of one message that is larger, it alone
	mqttMessageCost = 256     // of a message beside its topic and payload
	mqttBatch       = 512     // messages taken at once
	mqttTimeout     = 20 * time.Second
	mqttStopTimeout = 3 * time.Second // for acknowledgements at the end
)

// queuedBytes is what a message of n bytes takes of the queue.
func queuedBytes(n int) int64 { return min(int64(n)+mqttMessageCost, mqttQueueBytes) }

// run connects, again and again, and has take called with messages in their
// order, until ctx ends or take fails, which ends the gateway.
func (l *brokerLink) run(ctx context.Context, take func([]message, *acknowledger) error) error {
	defer l.meter.set(StateStopped, "")
	l.messages, l.room = make(chan message, mqttQueue), semaphore.NewWeighted(mqttQueueBytes)
	acks := newAcknowledger()
	var workers sync.WaitGroup
	workers.Go(acks.run)
	taking, stop := context.WithCancel(ctx)
	defer stop()
	workers.Go(func() {
		defer stop()
		l.takeAll(taking, acks, take)
	})
	var retry backoff
	for taking.Err() == nil {
		began := time.Now()
		err := l.connection(taking, acks)
		if taking.Err() != nil {
			break
		}
		if time.Since(began) > maxBackoff {
			retry.reset()
		}
		l.meter.fault(StateAbsent, err)
		retry.wait(taking)
	}
	acks.close()
	workers.Wait()
	return nil
}

// takeAll takes messages as they come.
func (l *brokerLink) takeAll(ctx context.Context, acks *acknowledger, take func([]message, *acknowledger) error) {
	for {
		var all []message
		select {
		case <-ctx.Done():
			return
		case m := <-l.messages:
			all = append(all, m)
		}
		for len(all) < mqttBatch {
			select {
			case m := <-l.messages:
				all = append(all, m)
				continue
			default:
			}
			break
		}
		err := take(all, acks)
		for i := range all {
			if all[i].ack != nil {
				l.room.Release(queuedBytes(len(all[i].topic) + len(all[i].payload)))
			}
		}
		if err != nil {
			return
		}
	}
}

// connection is one connection from its beginning to its end.
func (l *brokerLink) connection(ctx context.Context, acks *acknowledger) error {
	if l.subscribed != nil {
		if err := l.subscribed.note(); err != nil {
			return err
		}
	}
	lost := make(chan error, 1)
	live, end := context.WithCancel(ctx)
	defer end()
	client := mqtt.NewClient(l.options(live, lost))
	connecting := client.Connect()
	if err := await(ctx, connecting); err != nil {
		l.cut = false
		client.Disconnect(0)
		return fmt.Errorf("connect: %w", err)
	}
	l.meter.connected(l.cfg.URL)
	l.recall(connecting.(*mqtt.ConnectToken).SessionPresent())
	defer l.meter.disconnected()
	if l.disconnected != nil {
		defer l.disconnected()
	}
	publish := func(topic string, payload []byte) { client.Publish(topic, 0, false, payload) }
	if l.connected != nil {
		l.connected(publish)
	}
	err := l.subscribe(ctx, client)
	if err == nil && l.subscribed != nil {
		err = l.unsubscribe(ctx, client)
	}
	if err == nil && l.cfg.StatusTopic != "" {
		client.Publish(l.cfg.StatusTopic, 1, true, "online")
	}
	if err == nil && l.announce {
		select {
		case l.messages <- message{}:
		case <-ctx.Done():
		}
	}
	if err == nil {
		select {
		case <-ctx.Done():
			// Messages are taken no more; what was taken may still become durable.
			end()
			acks.settle(mqttStopTimeout)
			if l.cfg.StatusTopic != "" {
				client.Publish(l.cfg.StatusTopic, 1, true, "offline").WaitTimeout(time.Second)
			}
		case err = <-lost:
			l.cut = errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
			err = fmt.Errorf("connection lost: %w", err)
		}
	}
	end() // before Disconnect, which waits for handlers
	client.Disconnect(250)
	return err
}

// recall counts a session that the broker no longer knows (MQTT 3.1.1, 3.2.2.2):
// it was restarted without its store, let the session expire, or was given another
// client id. Whatever was published meanwhile is nobody's. It counts, too, a connection
// that the broker ended although it is there and knows the session, as it does when
// another client comes with the same id (3.1.4).
func (l *brokerLink) recall(present bool) {
	if l.cut && (present || !l.persistent) {
		wall, _ := l.meter.o.Clock.Now()
		l.meter.lastTakeover.Store(int64(wall))
		l.meter.takeovers.Add(1)
		l.meter.log(slog.LevelWarn, "the broker ended the connection and took the next at once: another client may have this client_id, and what it acknowledges never comes here",
			"client_id", l.cfg.ClientID)
	}
	l.cut = false
	if l.persistent && l.known && !present {
		l.meter.forgotten.Add(1)
		l.meter.log(slog.LevelWarn, "the broker had forgotten the session; what came meanwhile is lost", "client_id", l.cfg.ClientID)
	}
	l.known = true
}

// options are those of one connection. Acknowledging is ours; no store is kept:
// what is unacknowledged the broker has, and a copy here would come twice.
func (l *brokerLink) options(live context.Context, lost chan<- error) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().AddBroker(l.cfg.URL).SetClientID(l.cfg.ClientID).
		SetCleanSession(!l.persistent).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true).
		SetAutoAckDisabled(true).SetStore(noStore{}).SetConnectTimeout(mqttTimeout).
		SetWriteTimeout(cmp.Or(l.writing, mqttTimeout)).
		SetProtocolVersion(4)
	if l.cfg.Credentials != nil {
		o.SetCredentialsProvider(l.cfg.Credentials)
	}
	if l.cfg.KeepAlive > 0 {
		o.SetKeepAlive(l.cfg.KeepAlive)
	}
	if l.cfg.TLS != nil {
		o.SetTLSConfig(l.cfg.TLS)
	}
	if l.cfg.StatusTopic != "" {
		o.SetWill(l.cfg.StatusTopic, "offline", 1, true)
	}
	o.SetCustomOpenConnectionFn(func(u *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
		conn, err := openBroker(u, &o)
		if err != nil {
			return nil, err
		}
		packets := newPacketConn(conn, l.cfg.maxPayload(), l.oversized())
		packets.filters = len(l.filters)
		return packets, nil
	})
	// Before Connect: the broker sends at once what it kept, and a message that no
	// handler takes is never acknowledged.
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		wall, _ := l.meter.o.Clock.Now()
		l.meter.received(len(m.Payload()), wall)
		size := queuedBytes(len(m.Topic()) + len(m.Payload()))
		if l.room.Acquire(live, size) != nil {
			return // it comes again, on the next connection
		}
		select {
		case l.messages <- message{m.Topic(), m.Payload(), m.Qos(), m.Retained(), m.Duplicate(), m.Ack}:
		case <-live.Done(): // it comes again, on the next connection
			l.room.Release(size)
		}
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case lost <- err:
		default:
		}
	})
	return o
}

// oversized counts messages of one connection that were cut; the log has its first.
func (l *brokerLink) oversized() func(topic string, size int64) {
	said := false
	return func(topic string, size int64) {
		l.meter.oversized.Add(1)
		l.meter.discarded.Add(uint64(size) - uint64(l.cfg.maxPayload()))
		if !said {
			said = true
			l.meter.log(slog.LevelWarn, "a message is larger than max_payload: its beginning is kept as a rejected record, the rest is discarded",
				"topic", topic, "bytes", size, "max_payload", l.cfg.maxPayload())
		}
	}
}

// subscribe asks for the topics, on each connection: a broker that was killed
// may have kept the session without its subscriptions. It brings all retained
// messages again.
func (l *brokerLink) subscribe(ctx context.Context, client mqtt.Client) error {
	token := client.SubscribeMultiple(l.filters, nil)
	if err := await(ctx, token); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	result := token.(*mqtt.SubscribeToken).Result()
	if len(result) != len(l.filters) {
		return fmt.Errorf("subscribe to %d filters: %d answered: %w", len(l.filters), len(result), errRefused)
	}
	for filter, granted := range result {
		if granted > 2 {
			return fmt.Errorf("subscribe to %s: %w", filter, errRefused)
		}
		if granted < l.filters[filter] {
			return fmt.Errorf("subscribe to %s: QoS %d in place of %d: %w", filter, granted, l.filters[filter], errRefused)
		}
	}
	return nil
}

// unsubscribe ends what is subscribed and configured no more. One packet each:
// brokers bound the filters of one. A broker that ends the connection rather than
// answer is not asked for ever, because then nothing would come at all.
func (l *brokerLink) unsubscribe(ctx context.Context, client mqtt.Client) error {
	s := l.subscribed
	removed := s.removed()
	if s.unanswered >= filtersTries {
		return nil
	}
	tokens := make([]mqtt.Token, len(removed))
	for i, filter := range removed {
		tokens[i] = client.Unsubscribe(filter)
	}
	for i, token := range tokens {
		err := await(ctx, token)
		if err == nil {
			continue
		}
		if s.unanswered++; s.unanswered == filtersTries && ctx.Err() == nil {
			l.meter.log(slog.LevelWarn, "the broker does not unsubscribe; what is configured no more may go on coming until the next start", "filters", removed)
		}
		return fmt.Errorf("unsubscribe from %s: %w", removed[i], err)
	}
	s.unanswered = 0
	s.forget()
	return nil
}

// await waits for a token.
func await(ctx context.Context, token mqtt.Token) error {
	t := time.NewTimer(mqttTimeout)
	defer t.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return errors.New("no answer")
	}
}

// noStore keeps nothing.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
