#include <string.h>

#include "store.h"
#include "store_internal.h"

/* A place in the ring. */
struct place {
  uint32_t generation, slot;
};

/* Tells whether a slot is at or behind what is looked for; once it is, so are
 * all later ones. */
typedef bool (*reached)(const struct slot *slot, uint64_t what);

static bool reached_sequence(const struct slot *slot, uint64_t what) { return slot->sequence >= what; }

/* Slots of a boot: first those without the time, then those with it. */
static bool reached_clock(const struct slot *slot, uint64_t boot) { return slot->boot > boot || (slot->boot == boot && slot->clock != 0); }

/* Reads the first good slot at or after p->slot within its sector. */
static bool good_slot(const struct store *s, struct place *p, struct slot *into) {
  for (; p->slot < sector_slots(s, p->generation); p->slot++) {
    slot_read(s, p->generation, p->slot, into);
    if (into->type == SLOT_FREE) return false; /* a sector that was closed early */
    if (into->type != SLOT_TORN) return true;
  }
  return false;
}

/* Reads the first good slot at or after p, in later sectors too. */
static bool good_from(const struct store *s, struct place *p, struct slot *into) {
  struct header h;
  for (; p->generation <= s->head; p->generation++, p->slot = 0)
    if (sector_header(s, p->generation, &h) && good_slot(s, p, into)) return true;
  return false;
}

/* Finds the first good slot that has reached what, by halving: first among the
 * sectors by their first good slot, then in the sector before. False: none. */
static bool lower_bound(const struct store *s, reached has, uint64_t what, struct place *at, struct slot *into) {
  uint32_t low = ring_tail(s), high = s->head + 1;
  while (low < high) {
    struct place p = {low + (high - low) / 2, 0};
    uint32_t middle = p.generation;
    if (!good_from(s, &p, into) || p.generation >= high || has(into, what))
      high = middle;
    else
      low = p.generation + 1;
  }
  /* Sectors below low have not reached it with their first good slot. */
  struct place p = {low, 0};
  if (low > ring_tail(s)) {
    uint32_t from = 0, to = sector_slots(s, low - 1);
    struct header h;
    if (!sector_header(s, low - 1, &h)) to = 0;
    while (from < to) {
      struct place q = {low - 1, from + (to - from) / 2};
      uint32_t middle = q.slot;
      if (!good_slot(s, &q, into) || q.slot >= to || has(into, what))
        to = middle;
      else
        from = q.slot + 1;
    }
    p = (struct place){low - 1, from};
  }
  while (good_from(s, &p, into)) {
    *at = p;
    if (has(into, what)) return true;
    p.slot++;
  }
  return false;
}

uint64_t store_first(struct store *s) {
  struct header h;
  for (uint32_t g = ring_tail(s); g <= s->head; g++)
    if (sector_header(s, g, &h)) return h.last + 1;
  return s->last + 1;
}

/* Looks where the reading is expected, a few slots on at most. */
static bool expected(struct store *s, uint64_t sequence, struct slot *into) {
  if (s->next_sequence != sequence) return false;
  struct place p = {s->next_generation, s->next_slot};
  for (uint32_t i = 0; i < 4 && good_from(s, &p, into); i++, p.slot++) {
    if (into->type != SLOT_READING) continue;
    if (into->sequence != sequence) return false;
    s->next_generation = p.generation;
    s->next_slot = p.slot + 1;
    s->next_sequence = sequence + 1;
    return true;
  }
  return false;
}

enum store_found store_read(struct store *s, uint64_t sequence, struct slot *into, uint64_t *through, uint8_t *reason) {
  if (sequence > s->last) return STORE_END;
  if (expected(s, sequence, into)) return STORE_READING;
  struct place p = {0, 0};
  bool found = lower_bound(s, reached_sequence, sequence, &p, into);
  /* Notes have the number of the reading before them: look on for a reading. */
  while (found && (into->type != SLOT_READING || into->sequence < sequence)) {
    p.slot++;
    found = good_from(s, &p, into);
  }
  if (found && into->sequence == sequence) {
    s->next_generation = p.generation;
    s->next_slot = p.slot + 1;
    s->next_sequence = sequence + 1;
    return STORE_READING;
  }
  uint64_t first = store_first(s);
  *reason = sequence < first ? LOST_OVERRUN : LOST_DAMAGED;
  *through = found ? into->sequence - 1 : s->last;
  if (sequence < first && *through >= first) *through = first - 1;
  return STORE_LOST;
}

int64_t store_clock(struct store *s, const struct slot *slot) {
  if (slot->clock != 0) return slot->clock;
  if (slot->boot == s->boot) return s->clock;
  if (slot->boot != s->dated_boot) {
    struct place p;
    struct slot found;
    bool known = lower_bound(s, reached_clock, slot->boot, &p, &found) && found.boot == slot->boot;
    s->dated_boot = slot->boot;
    s->dated_clock = known ? found.clock : 0;
  }
  return s->dated_clock;
}

uint32_t store_schema(struct store *s, uint64_t sequence, uint16_t schema, uint8_t *into) {
  struct place p;
  struct slot slot;
  uint8_t page[HEADER_BYTES];
  struct header h;
  if (!lower_bound(s, reached_sequence, sequence, &p, &slot)) p.generation = s->head;
  hal_flash_read(sector_address(s, p.generation), page, sizeof page);
  if (!header_decode(page, &h) || h.schema != schema) return 0;
  memcpy(into, page + HEADER_TEXT, h.schema_len);
  return h.schema_len;
}
