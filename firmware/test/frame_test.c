/* The frames against the committed vectors, which the gateway's tests read too. */
#include <string.h>

#include "flashsim.h"
#include "frame.h"

static uint32_t hex(const char *text, uint8_t *into) {
  uint32_t n = 0;
  for (; text[0] && text[1] && text[0] != '\n'; text += 2) {
    unsigned byte;
    if (sscanf(text, "%2x", &byte) != 1) break;
    into[n++] = (uint8_t)byte;
  }
  return n;
}

/* Feeds bytes and gives the body of the last good frame. */
static uint32_t feed(struct frame_reader *r, const uint8_t *p, uint32_t len, uint8_t *body) {
  uint32_t last = 0;
  for (uint32_t i = 0; i < len; i++) {
    uint32_t n = frame_take(r, p[i]);
    if (n == 0) continue;
    last = n;
    memcpy(body, r->buf, n);
  }
  return last;
}

void test_frames(const char *file) {
  FILE *f = fopen(file, "r");
  REQUIRE(f != NULL, "open %s", file);
  char line[2048], kind[16], first[1024], second[1024];
  int good = 0, bad = 0;
  while (fgets(line, sizeof line, f) != NULL) {
    uint8_t body[1024], wire[1024], got[FRAME_MAX_WIRE];
    struct frame_reader r = {0};
    if (sscanf(line, "%15s %1023s %1023s", kind, first, second) == 3 && strcmp(kind, "frame") == 0) {
      uint32_t len = hex(first, body), wire_len = hex(second, wire);
      REQUIRE(frame_encode(body, len, got) == wire_len && memcmp(got, wire, wire_len) == 0, "encode %s", line);
      REQUIRE(feed(&r, wire, wire_len, got) == len && memcmp(got, body, len) == 0, "decode %s", line);
      good++;
    } else if (sscanf(line, "%15s %1023s", kind, first) == 2 && strcmp(kind, "bad") == 0) {
      uint32_t len = hex(first, wire);
      REQUIRE(feed(&r, wire, len, got) == 0 && r.noise == 1, "takes %s", line);
      bad++;
    }
  }
  fclose(f);
  printf("frames: %d good, %d bad\n", good, bad);
  REQUIRE(good > 5 && bad > 3, "hardly any vectors");
}

/* test_noise spoils frames in every way: none is ever taken for another, and the
 * good one after it is taken. */
void test_noise(void) {
  sim_init(3, 512);
  for (uint32_t round = 0; round < 200000; round++) {
    uint8_t body[64], wire[4 * FRAME_MAX_WIRE], got[FRAME_MAX_WIRE];
    uint32_t len = 1 + sim_random(60);
    for (uint32_t i = 0; i < len; i++) body[i] = (uint8_t)(sim_random(4) == 0 ? 0 : sim_random(256));
    uint32_t n = frame_encode(body, len, wire);
    uint32_t at = sim_random(n);
    switch (sim_random(3)) {
    case 0:
      wire[at] ^= (uint8_t)(1 << sim_random(8));
      break;
    case 1:
      memmove(wire + at, wire + at + 1, n - at - 1);
      n--;
      break;
    default:
      memmove(wire + at + 1, wire + at, n - at);
      wire[at] = (uint8_t)sim_random(256);
      n++;
    }
    struct frame_reader r = {0};
    uint32_t taken = feed(&r, wire, n, got);
    REQUIRE(taken == 0 || (taken == len && memcmp(got, body, len) == 0), "round %u: another frame of %u bytes", round, taken);
    n = frame_encode(body, len, wire);
    REQUIRE(feed(&r, wire, n, got) == len && memcmp(got, body, len) == 0, "round %u: not in step again", round);
  }
  printf("noise: 200000 frames spoiled\n");
}
