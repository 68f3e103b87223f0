/* What lies in the flash: sector headers and slots. README.md draws them. */
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stdint.h>

#include "hal.h"

#define SLOT_BYTES 64u
#define HEADER_BYTES HAL_FLASH_PAGE
#define SCHEMA_MAX 188u
#define SLOT_HEAD 36u /* before the values */

/* What a slot holds. FREE is erased flash; TORN is none of the others. */
enum slot_type { SLOT_READING = 1, SLOT_CURSOR = 2, SLOT_CLOCK = 3, SLOT_BOOT = 4, SLOT_TORN = 0xfe, SLOT_FREE = 0xff };

/* A slot, decoded. Each has all of the head, whatever its type, so that the last
 * good one of the flash tells where the node stands. */
struct slot {
  uint8_t type;
  uint8_t count;     /* of values */
  uint16_t schema;   /* of the sector */
  uint64_t sequence; /* of the reading, or of the last one before */
  uint32_t boot;
  uint32_t unacked; /* sequence less the acknowledged one, UINT32_MAX for more */
  uint64_t uptime;  /* microseconds since the reset, when sampled or written */
  int64_t clock;    /* UTC at the reset, microseconds since 1970; 0: not known then */
  int32_t values[HAL_MAX_VALUES];
};

/* seed goes into the CRC, so that a slot is good in its own sector only. */
void slot_encode(const struct slot *s, uint32_t seed, uint8_t *p);
void slot_decode(const uint8_t *p, uint32_t seed, struct slot *s);

static inline uint32_t slot_seed(uint64_t format, uint32_t generation) { return (uint32_t)format ^ generation; }

/* A sector's header, decoded. */
struct header {
  uint32_t generation; /* the sector lies at generation modulo the number of sectors */
  uint64_t node;
  uint64_t format; /* random, made when the flash was formatted */
  uint64_t last;   /* sequence of the last reading before this sector */
  uint64_t acked;  /* as of then */
  uint32_t boot;
  uint32_t sectors; /* of the ring, fixed when the flash was formatted */
  uint16_t schema;  /* low half of the CRC-32 of the text */
  uint16_t schema_len;
};

/* text is header.schema_len bytes. */
void header_encode(const struct header *h, const char *text, uint8_t *p);
bool header_decode(const uint8_t *p, struct header *h);
#define HEADER_TEXT 52u /* where the schema stands in it */
#define HEADER_MAGIC 4u /* bytes before what the CRC covers */

#endif
