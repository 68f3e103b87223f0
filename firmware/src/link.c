#include "link.h"

#include <string.h>

#include "bytes.h"

#define HELLO_FIRST 500000u /* microseconds to the second HELLO, and then twice as long each */
#define HELLO_LAST 8000000u
#define ACK_WAIT 1000000u /* without progress: send again */
#define UNHEARD_MAX 3u    /* so often in vain: begin with HELLO */

#define FRAME_HEAD 5u /* type and tag */

void link_init(struct link *l, struct store *store) {
  memset(l, 0, sizeof *l);
  l->store = store;
  l->wait = HELLO_FIRST;
}

static void send(const struct link *l, uint8_t *body, enum frame_type type, uint32_t len) {
  uint8_t wire[FRAME_MAX_WIRE];
  body[0] = (uint8_t)type;
  put32(body + 1, (uint32_t)l->store->format);
  (void)hal_uart_write(wire, frame_encode(body, len, wire)); /* callers saw room for it */
}

static bool room(void) { return hal_uart_room() >= FRAME_MAX_WIRE; }

static void hello(struct link *l, uint64_t now) {
  struct store *s = l->store;
  uint8_t body[FRAME_MAX_BODY];
  body[5] = LINK_VERSION;
  put64(body + 6, s->node);
  put64(body + 14, s->format);
  put32(body + 22, s->boot);
  put64(body + 26, s->last);
  put64(body + 34, s->acked);
  put64(body + 42, store_first(s));
  put64(body + 50, now);
  put32(body + 58, l->missed);
  put32(body + 62, s->torn);
  put32(body + 66, l->reader.noise);
  send(l, body, FRAME_HELLO, 70);
  l->due = now + l->wait;
  l->wait = l->wait < HELLO_LAST / 2 ? 2 * l->wait : HELLO_LAST;
}

static void leave(struct link *l, uint64_t now) {
  l->welcome = false;
  l->started = false;
  l->wait = HELLO_FIRST;
  l->due = now;
}

static void rewind_to(struct link *l, uint64_t next, uint64_t now) {
  l->next = next;
  l->announced = false; /* the gateway may have missed that too */
  l->due = now + ACK_WAIT;
}

/* Sends the reading, and the schema before it where it is another. False: no
 * more now. */
static bool send_reading(struct link *l, const struct slot *slot) {
  uint8_t body[FRAME_MAX_BODY], p[SLOT_BYTES];
  if (!l->announced || l->schema != slot->schema) {
    uint32_t len = store_schema(l->store, slot->sequence, slot->schema, body + 7);
    put16(body + 5, slot->schema);
    send(l, body, FRAME_SCHEMA, 7 + len);
    l->announced = true;
    l->schema = slot->schema;
    if (!room()) return false;
  }
  put64(body + 5, (uint64_t)store_clock(l->store, slot));
  slot_encode(slot, 0, p);
  uint32_t len = SLOT_HEAD - 1 + 4u * slot->count;
  memcpy(body + 13, p + 1, len);
  send(l, body, FRAME_READING, 13 + len);
  l->next++;
  return true;
}

/* Sends what comes next. False: nothing now. */
static bool send_next(struct link *l, uint64_t now) {
  struct slot slot;
  uint64_t through = 0;
  uint8_t reason = 0, body[FRAME_MAX_BODY];
  if (!room() || l->next > l->store->acked + LINK_WINDOW) return false;
  if (!l->started) {
    put64(body + 5, l->next);
    send(l, body, FRAME_START, 13);
    l->started = true;
    return true;
  }
  bool idle = l->next == l->store->acked + 1;
  switch (store_read(l->store, l->next, &slot, &through, &reason)) {
  case STORE_END:
    return false;
  case STORE_READING:
    if (!send_reading(l, &slot)) return false;
    break;
  case STORE_LOST:
    put64(body + 5, l->next);
    put64(body + 13, through);
    body[21] = reason;
    send(l, body, FRAME_LOST, 22);
    l->next = through + 1;
    break;
  }
  if (l->next - 1 > l->highest) l->highest = l->next - 1;
  if (idle) l->due = now + ACK_WAIT;
  return true;
}

/* Takes the gateway's word for what is captured. It may know of readings that
 * this flash has lost: then their numbers were given again since the reset, and
 * what has them now is not captured. */
static void welcome(struct link *l, const uint8_t *p, uint64_t now) {
  struct store *s = l->store;
  uint64_t durable = get64(p + 7);
  uint64_t own = s->last_mounted > l->highest ? s->last_mounted : l->highest;
  if (p[5] != LINK_VERSION) return;
  int64_t time = (int64_t)get64(p + 15);
  if (time != 0) store_set_clock(s, time - (int64_t)now);
  if (p[6] != 0 && durable <= own) store_acknowledge(s, durable);
  l->welcome = true;
  l->started = false;
  l->unheard = 0;
  rewind_to(l, s->acked + 1, now);
}

static void acknowledge(struct link *l, uint64_t sequence, uint64_t now) {
  if (sequence <= l->store->acked || sequence > l->highest) return;
  store_acknowledge(l->store, sequence);
  if (l->next <= l->store->acked) l->next = l->store->acked + 1;
  l->unheard = 0;
  l->due = now + ACK_WAIT;
}

static void take(struct link *l, const uint8_t *p, uint32_t len, uint64_t now) {
  if (len == FRAME_HEAD && p[0] == FRAME_WHO) {
    leave(l, now);
    return;
  }
  if (len < FRAME_HEAD || get32(p + 1) != (uint32_t)l->store->format) return; /* for another node */
  if (p[0] == FRAME_WELCOME && len == 23) {
    welcome(l, p, now);
  } else if (p[0] == FRAME_ACK && len == 13) {
    acknowledge(l, get64(p + 5), now);
  } else if (p[0] == FRAME_NAK && len == 13) {
    uint64_t expected = get64(p + 5);
    if (expected == 0) leave(l, now); /* it does not know where we began */
    if (l->welcome && expected > l->store->acked && expected < l->next) rewind_to(l, expected, now);
  } else if (p[0] == FRAME_TIME && len == 13) {
    store_set_clock(l->store, (int64_t)get64(p + 5) - (int64_t)now);
  }
}

void link_poll(struct link *l, uint64_t now) {
  uint8_t bytes[32];
  for (uint32_t n; (n = hal_uart_read(bytes, sizeof bytes)) > 0;) {
    for (uint32_t i = 0; i < n; i++) {
      uint32_t len = frame_take(&l->reader, bytes[i]);
      if (len > 0) take(l, l->reader.buf, len, now);
    }
  }
  if (!l->welcome) {
    if (now >= l->due && room()) hello(l, now);
    return;
  }
  if (l->next > l->store->acked + 1 && now >= l->due) {
    if (++l->unheard > UNHEARD_MAX) {
      leave(l, now);
      return;
    }
    rewind_to(l, l->store->acked + 1, now);
  }
  while (send_next(l, now)) {
  }
}
