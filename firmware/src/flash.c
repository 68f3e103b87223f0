#include "flash.h"

#include <string.h>

#include "bytes.h"
#include "frame.h"

static const uint8_t magic[HEADER_MAGIC] = {'L', 'F', 'N', 1};

void slot_encode(const struct slot *s, uint32_t seed, uint8_t *p) {
  p[0] = s->type;
  p[1] = s->count;
  put16(p + 2, s->schema);
  put64(p + 4, s->sequence);
  put32(p + 12, s->boot);
  put32(p + 16, s->unacked);
  put64(p + 20, s->uptime);
  put64(p + 28, (uint64_t)s->clock);
  for (uint32_t i = 0; i < HAL_MAX_VALUES; i++) put32(p + SLOT_HEAD + 4 * i, (uint32_t)s->values[i]);
  put32(p + SLOT_BYTES - 4, crc32(seed, p, SLOT_BYTES - 4));
}

static bool blank(const uint8_t *p, uint32_t len) {
  for (uint32_t i = 0; i < len; i++)
    if (p[i] != 0xff) return false;
  return true;
}

void slot_decode(const uint8_t *p, uint32_t seed, struct slot *s) {
  memset(s, 0, sizeof *s);
  s->type = SLOT_TORN;
  if (crc32(seed, p, SLOT_BYTES - 4) != get32(p + SLOT_BYTES - 4)) {
    if (blank(p, SLOT_BYTES)) s->type = SLOT_FREE;
    return;
  }
  if (p[0] < SLOT_READING || p[0] > SLOT_BOOT || p[1] > HAL_MAX_VALUES) return;
  s->type = p[0];
  s->count = p[1];
  s->schema = get16(p + 2);
  s->sequence = get64(p + 4);
  s->boot = get32(p + 12);
  s->unacked = get32(p + 16);
  s->uptime = get64(p + 20);
  s->clock = (int64_t)get64(p + 28);
  for (uint32_t i = 0; i < HAL_MAX_VALUES; i++) s->values[i] = (int32_t)get32(p + SLOT_HEAD + 4 * i);
}

void header_encode(const struct header *h, const char *text, uint8_t *p) {
  memset(p, 0xff, HEADER_BYTES);
  memcpy(p, magic, sizeof magic);
  put32(p + 4, h->generation);
  put64(p + 8, h->node);
  put64(p + 16, h->format);
  put64(p + 24, h->last);
  put64(p + 32, h->acked);
  put32(p + 40, h->boot);
  put32(p + 44, h->sectors);
  put16(p + 48, h->schema);
  put16(p + 50, h->schema_len);
  memcpy(p + HEADER_TEXT, text, h->schema_len);
  put32(p + HEADER_BYTES - 4, crc32(0, p + HEADER_MAGIC, HEADER_BYTES - HEADER_MAGIC - 4));
}

bool header_decode(const uint8_t *p, struct header *h) {
  if (memcmp(p, magic, sizeof magic) != 0) return false;
  if (crc32(0, p + HEADER_MAGIC, HEADER_BYTES - HEADER_MAGIC - 4) != get32(p + HEADER_BYTES - 4)) return false; /* torn, or damaged */
  h->generation = get32(p + 4);
  h->node = get64(p + 8);
  h->format = get64(p + 16);
  h->last = get64(p + 24);
  h->acked = get64(p + 32);
  h->boot = get32(p + 40);
  h->sectors = get32(p + 44);
  h->schema = get16(p + 48);
  h->schema_len = get16(p + 50);
  return h->schema_len <= SCHEMA_MAX && h->sectors >= 3;
}
