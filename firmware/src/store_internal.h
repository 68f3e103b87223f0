/* What store.c (writing, mounting) and find.c (reading) share. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "store.h"

uint32_t sector_address(const struct store *s, uint32_t generation);
uint32_t slot_address(const struct store *s, uint32_t generation, uint32_t slot);

/* Reads the header of a generation. False: the ring does not hold it. */
bool sector_header(const struct store *s, uint32_t generation, struct header *h);

/* Reads a slot. */
void slot_read(const struct store *s, uint32_t generation, uint32_t slot, struct slot *into);

/* The number of slots of a generation that may be written. */
uint32_t sector_slots(const struct store *s, uint32_t generation);

/* The oldest generation that the ring may hold. */
uint32_t ring_tail(const struct store *s);

#endif
