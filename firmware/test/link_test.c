/* The node's half of the protocol: a whole session against the committed
 * transcript, and what it must not believe. */
#include <string.h>

#include "bytes.h"
#include "flashsim.h"
#include "link.h"

static struct store store;
static struct link uplink;

static void start(void) {
  sim.now = 0;
  REQUIRE(store_mount(&store), "mount");
  link_init(&uplink, &store);
}

static void append(int32_t value) {
  int32_t values[2] = {value, HAL_NO_VALUE};
  REQUIRE(store_append(&store, sim.now, values, 2), "append");
}

/* Gives the node a frame of the gateway's. */
static void tell(enum frame_type type, uint32_t tag, const uint8_t *rest, uint32_t len) {
  uint8_t body[64];
  body[0] = (uint8_t)type;
  put32(body + 1, tag);
  if (len > 0) memcpy(body + 5, rest, len);
  sim.to_len += frame_encode(body, 5 + len, sim.to_node + sim.to_len);
}

static void tell_number(enum frame_type type, uint64_t number) {
  uint8_t rest[8];
  put64(rest, number);
  tell(type, (uint32_t)store.format, rest, sizeof rest);
}

static void tell_welcome(bool known, uint64_t durable, int64_t time) {
  uint8_t rest[18] = {LINK_VERSION, known};
  put64(rest + 2, durable);
  put64(rest + 10, (uint64_t)time);
  tell(FRAME_WELCOME, (uint32_t)store.format, rest, sizeof rest);
}

/* The transcript of the session, written or compared line by line. */
static FILE *transcript;
static bool printing;

static void line(char side, const uint8_t *wire, uint32_t len) {
  char text[2 * FRAME_MAX_WIRE + 4], want[2 * FRAME_MAX_WIRE + 64];
  uint32_t n = 0;
  text[n++] = side;
  text[n++] = ' ';
  for (uint32_t i = 0; i < len; i++) n += (uint32_t)sprintf(text + n, "%02x", wire[i]);
  if (printing) {
    printf("%s\n", text);
    return;
  }
  do REQUIRE(fgets(want, sizeof want, transcript) != NULL, "more than the transcript: %s", text);
  while (want[0] == '#' || want[0] == '\n');
  want[strcspn(want, "\n")] = 0;
  REQUIRE(strcmp(want, text) == 0, "\n got %s\nwant %s", text, want);
}

/* Notes what the gateway said, lets the node work, and notes what it said. */
static void turn(void) {
  if (sim.to_len > 0) line('<', sim.to_node, sim.to_len);
  sim.now += 1000;
  link_poll(&uplink, sim.now);
  for (uint32_t from = 0; from < sim.from_len;) {
    uint32_t to = from + 1;
    while (sim.from_node[to] != 0) to++;
    line('>', sim.from_node + from, to + 1 - from);
    from = to + 1;
  }
  sim.from_len = 0;
}

/* test_session plays a session that has every frame in it. */
void test_session(const char *file, bool print) {
  printing = print;
  transcript = fopen(file, "r");
  REQUIRE(print || transcript != NULL, "open %s", file);
  sim_init(4, 256 * 3);
  start();
  append(20123);
  turn(); /* HELLO */
  tell(FRAME_WHO, 0, NULL, 0);
  turn(); /* HELLO again */
  tell_welcome(false, 0, 1700000000000000);
  turn(); /* SCHEMA, READING 1 dated backwards */
  append(-5);
  turn(); /* READING 2 */
  tell_number(FRAME_NAK, 2);
  turn(); /* SCHEMA, READING 2 */
  tell_number(FRAME_ACK, 2);
  tell_number(FRAME_TIME, 1700000001000000);
  turn(); /* nothing */
  for (int32_t i = 3; i <= 80; i++) append(i);
  turn(); /* LOST */
  sim.now += 2000000;
  turn(); /* not acknowledged: LOST again */
  tell_number(FRAME_ACK, 54);
  turn(); /* as many as the window takes */
  if (transcript != NULL) {
    char more[8];
    while (!print && fgets(more, sizeof more, transcript) != NULL) REQUIRE(more[0] != '<' && more[0] != '>', "the transcript goes on");
    fclose(transcript);
  }
  if (!print) printf("session: as written down\n");
}

/* Numbers of the readings that the node says, in order, at most max. */
static uint32_t said(uint64_t *numbers, uint32_t max) {
  static struct frame_reader r;
  uint32_t n = 0;
  for (uint32_t i = 0; i < sim.from_len; i++) {
    uint32_t len = frame_take(&r, sim.from_node[i]);
    if (len > 0 && r.buf[0] == FRAME_READING && n < max) numbers[n++] = get64(r.buf + 16);
  }
  sim.from_len = 0;
  return n;
}

/* test_rollback: a flash that lost its newest readings gives their numbers again.
 * A gateway that knows the old ones must not make the node forget the new ones;
 * nor may an acknowledgement of what was never sent, or of another node. */
void test_rollback(void) {
  uint64_t got[64];
  sim_init(4, 256 * 12);
  start();
  for (int32_t i = 0; i < 10; i++) append(i);
  start();
  for (int32_t i = 0; i < 5; i++) append(100 + i);
  tell_welcome(true, 12, 0);
  sim.now += 1000;
  link_poll(&uplink, sim.now);
  uint32_t n = said(got, 64);
  REQUIRE(store.acked == 0 && n == 15 && got[0] == 1 && got[14] == 15, "acknowledged %lu, %u sent", (unsigned long)store.acked, n);
  tell_number(FRAME_ACK, 16);
  tell(FRAME_ACK, 1, (const uint8_t *)"\5\0\0\0\0\0\0\0", 8);
  link_poll(&uplink, sim.now);
  REQUIRE(store.acked == 0, "believes anything: %lu", (unsigned long)store.acked);
  tell_number(FRAME_ACK, 15);
  link_poll(&uplink, sim.now);
  REQUIRE(store.acked == 15, "acknowledged %lu", (unsigned long)store.acked);
  /* After a restart the gateway's word for what this flash has is good. */
  start();
  tell_welcome(true, 15, 0);
  append(7);
  link_poll(&uplink, sim.now += 1000);
  n = said(got, 64);
  REQUIRE(store.acked == 15 && n == 1 && got[0] == 16, "acknowledged %lu, %u sent", (unsigned long)store.acked, n);
  printf("rollback: nothing forgotten\n");
}
