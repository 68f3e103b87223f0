#include "store.h"

#include <string.h>

#include "frame.h"
#include "store_internal.h"

uint32_t sector_address(const struct store *s, uint32_t generation) { return generation % s->sectors * hal_flash_sector_bytes(); }

uint32_t slot_address(const struct store *s, uint32_t generation, uint32_t slot) {
  return sector_address(s, generation) + HEADER_BYTES + slot * SLOT_BYTES;
}

void slot_read(const struct store *s, uint32_t generation, uint32_t slot, struct slot *into) {
  uint8_t p[SLOT_BYTES];
  hal_flash_read(slot_address(s, generation, slot), p, sizeof p);
  slot_decode(p, slot_seed(s->format, generation), into);
}

static bool header_at(uint32_t addr, struct header *h) {
  uint8_t p[HEADER_BYTES];
  hal_flash_read(addr, p, sizeof p);
  return header_decode(p, h);
}

bool sector_header(const struct store *s, uint32_t generation, struct header *h) {
  return header_at(sector_address(s, generation), h) && h->generation == generation && h->format == s->format;
}

uint32_t sector_slots(const struct store *s, uint32_t generation) { return generation == s->head ? s->free : s->slots; }

uint32_t ring_tail(const struct store *s) { return s->head < s->sectors ? 0 : s->head - s->sectors + 1; }

/* Writes within a page and tells whether the flash gives it back. */
static bool program(uint32_t addr, const uint8_t *p, uint32_t len) {
  uint8_t back[HAL_FLASH_PAGE];
  hal_flash_program(addr, p, len);
  hal_flash_read(addr, back, len);
  return memcmp(p, back, len) == 0;
}

/* Opens the sector of a generation. Steps, and what a power cut after each
 * leaves:
 *  1. erase what lay there: the ring is a sector shorter, its oldest readings are
 *     given up. Half erased it may still look whole: the next mount, which has to
 *     write, opens it again before anybody reads;
 *  2. write the header: the sector is the ring's newest, and empty. */
static bool open_sector(struct store *s, uint32_t generation) {
  const struct hal_sensors *sensors = hal_sensors();
  uint8_t p[HEADER_BYTES];
  uint32_t addr = sector_address(s, generation);
  size_t len = strlen(sensors->schema);
  struct header h = {.generation = generation, .node = s->node, .format = s->format, .last = s->last, .acked = s->acked, .boot = s->boot, .sectors = s->sectors};
  h.schema_len = (uint16_t)(len < SCHEMA_MAX ? len : SCHEMA_MAX);
  h.schema = (uint16_t)crc32(0, (const uint8_t *)sensors->schema, h.schema_len);
  header_encode(&h, sensors->schema, p);
  hal_flash_erase(addr);
  if (!program(addr, p, sizeof p)) return false;
  s->head = generation;
  s->free = 0;
  s->schema = h.schema;
  s->acked_stored = s->acked;
  return true;
}

/* Opens the first sector from generation on that can be written. */
static bool advance(struct store *s, uint32_t generation) {
  for (uint32_t i = 0; i < s->sectors; i++) {
    if (open_sector(s, generation + i)) return true;
    s->skipped++;
  }
  return false;
}

/* Makes a slot that does not read well read badly for ever: half programmed
 * cells may read as one thing today and as another tomorrow. */
static void void_slot(const struct store *s, uint32_t slot) {
  static const uint8_t zeros[SLOT_BYTES] = {0};
  hal_flash_program(slot_address(s, s->head, slot), zeros, sizeof zeros);
}

/* Writes a slot after the last one. One that does not read back is passed over. */
static bool write_slot(struct store *s, struct slot *slot) {
  uint8_t p[SLOT_BYTES];
  for (uint32_t tries = 0; tries < 2 * s->slots; tries++) {
    if (s->free == s->slots && !advance(s, s->head + 1)) return false;
    uint64_t unacked = slot->sequence - s->acked;
    slot->schema = s->schema;
    slot->boot = s->boot;
    slot->unacked = unacked < UINT32_MAX ? (uint32_t)unacked : UINT32_MAX;
    slot->clock = s->clock;
    slot_encode(slot, slot_seed(s->format, s->head), p);
    if (program(slot_address(s, s->head, s->free++), p, sizeof p)) {
      s->acked_stored = s->acked;
      return true;
    }
    s->torn++;
    void_slot(s, s->free - 1);
  }
  return false;
}

static bool note(struct store *s, enum slot_type type) {
  struct slot slot = {.type = (uint8_t)type, .sequence = s->last, .uptime = hal_micros()};
  return write_slot(s, &slot);
}

bool store_append(struct store *s, uint64_t uptime, const int32_t *values, uint32_t count) {
  struct slot slot = {.type = SLOT_READING, .count = (uint8_t)count, .sequence = s->last + 1, .uptime = uptime};
  memcpy(slot.values, values, count * sizeof *values);
  if (!write_slot(s, &slot)) return false;
  s->last++;
  return true;
}

void store_acknowledge(struct store *s, uint64_t sequence) {
  if (sequence <= s->acked || sequence > s->last) return;
  s->acked = sequence;
  if (s->acked - s->acked_stored >= STORE_CURSOR_LAG) (void)note(s, SLOT_CURSOR); /* else the next reading's slot has it */
}

void store_set_clock(struct store *s, int64_t clock) {
  bool first = s->clock == 0;
  s->clock = clock;
  if (first && clock != 0) (void)note(s, SLOT_CLOCK); /* dates this boot's earlier readings, in later boots too */
}

/* Finds the newest generation where the first sector's header is good: of the
 * sectors after it those of the same lap come first. False when a header that
 * does not read may have led astray. */
static bool search_head(struct store *s, struct header *h) {
  struct header at;
  if (!header_at(0, h) || h->sectors > hal_flash_sectors() || h->generation % h->sectors != 0) return false;
  s->format = h->format;
  s->sectors = h->sectors;
  uint32_t first = h->generation, low = 0, high = s->sectors; /* low is of this lap, high is not */
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (sector_header(s, first + middle, &at)) {
      low = middle;
      *h = at;
    } else {
      high = middle;
    }
  }
  for (uint32_t i = 1; i <= 2 && low + i < s->sectors; i++)
    if (sector_header(s, first + low + i, &at)) return false;
  return true;
}

/* Finds it by reading all headers: when the first sector was being opened, or
 * a header is damaged. */
static bool scan_head(struct header *h) {
  bool found = false;
  for (uint32_t i = 0; i < hal_flash_sectors(); i++) {
    struct header at;
    if (!header_at(i * hal_flash_sector_bytes(), &at) || at.sectors > hal_flash_sectors() || at.generation % at.sectors != i) continue;
    if (found && at.generation < h->generation) continue;
    found = true;
    *h = at;
  }
  return found;
}

/* Finds a generation's first free slot. */
static uint32_t first_free(const struct store *s, uint32_t generation) {
  struct slot slot;
  uint32_t low = 0, high = s->slots; /* slots below low are written, from high on free */
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    slot_read(s, generation, middle, &slot);
    if (slot.type == SLOT_FREE)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* Takes from a slot where the node stood when it wrote it. */
static void stood(struct store *s, const struct slot *slot) {
  s->last = slot->sequence;
  s->boot = slot->boot;
  if (slot->unacked <= slot->sequence && slot->sequence - slot->unacked > s->acked) s->acked = slot->sequence - slot->unacked;
}

/* Finds where the node stood: in the last good slot of the head. */
static void read_head(struct store *s, const struct header *h) {
  struct slot slot;
  s->free = first_free(s, s->head);
  s->last = h->last;
  s->acked = h->acked;
  s->boot = h->boot;
  for (uint32_t i = s->free; i-- > 0;) {
    slot_read(s, s->head, i, &slot);
    if (slot.type == SLOT_TORN) {
      void_slot(s, i);
      s->torn++;
      continue;
    }
    if (slot.type == SLOT_FREE) continue; /* a damaged one behind it looked written */
    stood(s, &slot);
    break;
  }
}

#define HEADLESS_PROBES 4u /* slots: not all of them are damaged too */

/* Looks whether the sector after the head is one too, whose header is damaged:
 * its readings cannot be had, but their numbers must not be given again. */
static void skip_headless(struct store *s) {
  struct slot slot;
  uint32_t next = s->head + 1;
  for (uint32_t i = 0; i < HEADLESS_PROBES && i < s->slots; i++) {
    slot_read(s, next, i, &slot); /* torn, if it is of an earlier lap */
    if (slot.type == SLOT_TORN || slot.type == SLOT_FREE) continue;
    for (uint32_t newest = first_free(s, next); newest-- > i;) {
      slot_read(s, next, newest, &slot);
      if (slot.type == SLOT_TORN || slot.type == SLOT_FREE) continue;
      stood(s, &slot);
      break;
    }
    s->head = next;
    s->free = s->slots;
    s->skipped++;
    return;
  }
}

bool store_mount(struct store *s) {
  struct header h;
  memset(s, 0, sizeof *s);
  s->slots = (hal_flash_sector_bytes() - HEADER_BYTES) / SLOT_BYTES;
  if (!search_head(s, &h) && !scan_head(&h)) {
    s->node = hal_node_id();
    s->format = hal_entropy();
    s->sectors = hal_flash_sectors();
    s->boot = 1;
    return advance(s, 0) && note(s, SLOT_BOOT);
  }
  s->node = h.node;
  s->format = h.format;
  s->sectors = h.sectors;
  s->head = h.generation;
  s->schema = h.schema;
  read_head(s, &h);
  skip_headless(s);
  s->last_mounted = s->last;
  s->acked_stored = s->acked;
  s->boot++;
  const char *text = hal_sensors()->schema;
  if (s->schema != (uint16_t)crc32(0, (const uint8_t *)text, (uint32_t)strlen(text))) s->free = s->slots; /* other sensors: another sector */
  return note(s, SLOT_BOOT);
}
