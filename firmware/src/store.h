/* The store: a ring of flash sectors that holds readings until they are
 * acknowledged, and after it until their place is needed.
 *
 * Invariants
 *
 *  1. A reading has its number only once its slot was programmed and read back:
 *     what store_append gave a number is there after any power cut.
 *  2. Numbers are dense from 1 within one format, and never given twice.
 *  3. A power cut at any byte of any operation costs nothing but the reading
 *     being written, and, where a sector was being opened, nothing that the ring
 *     had not given up before.
 *  4. What the ring gave up, or what the flash no longer gives back, is told as a
 *     range, never passed over.
 *  5. Each sector is erased once a lap, whatever is written: wear is even.
 *
 * It belongs to the main loop. */
#ifndef STORE_H
#define STORE_H

#include "flash.h"

struct store {
  /* Where the node stands; read only for others. */
  uint64_t node, format;
  uint64_t last;         /* number of the newest reading; 0: none yet */
  uint64_t last_mounted; /* the same, as found at mount */
  uint64_t acked;        /* all up to here are captured by a gateway */
  uint32_t boot;
  int64_t clock;    /* UTC at the reset, microseconds since 1970; 0: not known yet */
  uint32_t torn;    /* slots passed over because they did not read back */
  uint32_t skipped; /* sectors passed over because they did not */

  /* Its own. */
  uint32_t sectors, slots; /* of the flash, of a sector */
  uint32_t head;           /* generation of the sector being written */
  uint32_t free;           /* its next slot */
  uint64_t acked_stored;   /* what the flash knows of acked */
  uint16_t schema;         /* of the head */
  uint32_t next_generation, next_slot; /* where the reading after the last one read is expected */
  uint64_t next_sequence;
  uint32_t dated_boot; /* store_clock's last answer; 0: none */
  int64_t dated_clock;
};

/* Finds the end of the ring, formats a flash that holds none, and begins a new
 * boot. False: no sector of the flash can be written. */
bool store_mount(struct store *s);

/* Writes a reading and gives it the next number. False: no sector could be
 * written; the reading is lost and has no number. */
bool store_append(struct store *s, uint64_t uptime, const int32_t *values, uint32_t count);

/* Takes note that all up to sequence are captured. The flash knows it at the
 * latest STORE_CURSOR_LAG readings later. */
#define STORE_CURSOR_LAG 16u
void store_acknowledge(struct store *s, uint64_t sequence);

/* Takes note of the time: UTC at the reset. */
void store_set_clock(struct store *s, int64_t clock);

/* The outcome of store_read. */
enum store_found {
  STORE_READING, /* into holds it */
  STORE_LOST,    /* it and all up to *through will never come */
  STORE_END      /* it does not exist yet */
};

/* Why readings are lost. */
enum store_reason { LOST_OVERRUN = 1, LOST_DAMAGED = 2 };

/* Looks for a reading. */
enum store_found store_read(struct store *s, uint64_t sequence, struct slot *into, uint64_t *through, uint8_t *reason);

/* The UTC time at the reset of a slot's boot; 0: that boot never knew. */
int64_t store_clock(struct store *s, const struct slot *slot);

/* Reads the text of a schema that some sector of the ring has; into holds
 * SCHEMA_MAX bytes. Gives its length, 0 when no sector has it. sequence is a
 * reading of that schema. */
uint32_t store_schema(struct store *s, uint64_t sequence, uint16_t schema, uint8_t *into);

/* The lowest number that may still be there. */
uint64_t store_first(struct store *s);

#endif
