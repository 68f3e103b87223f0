/* A node's hardware on the host: flash in memory that can be cut off at any byte
 * of any operation, a line with two ends in memory, a clock that is set. */
#ifndef FLASHSIM_H
#define FLASHSIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What a test requires; ends the program where it does not hold. */
#define REQUIRE(cond, ...)                                        \
  do {                                                            \
    if (!(cond)) {                                                \
      printf("%s:%d: %s: ", __FILE__, __LINE__, #cond);           \
      printf(__VA_ARGS__);                                        \
      printf("\n");                                               \
      exit(1);                                                    \
    }                                                             \
  } while (0)

/* How an operation looks that the power cut ended at byte k. */
enum tear {
  TEAR_FRONT, /* bytes before k are done */
  TEAR_BACK,  /* bytes from k on are done */
  TEAR_BITS,  /* bytes before k are done, and of each later one some bits */
  TEAR_KINDS
};

struct sim {
  uint8_t *flash;
  uint32_t sectors, sector_bytes;
  uint32_t *erased;    /* times, by sector */
  uint64_t bytes;      /* programmed or erased so far: tear points */
  uint64_t read;       /* bytes read so far */
  bool armed;          /* cut at tear point cut */
  uint64_t cut;
  enum tear tear;
  jmp_buf off;         /* where a cut lands */
  uint32_t stuck;      /* one byte address in so many does not take bits 0; 0: none */
  uint64_t now;        /* microseconds */
  uint64_t entropy;
  uint8_t to_node[4096], from_node[65536];
  uint32_t to_len, from_len, room;
  const char *schema;
  uint64_t random;
};

extern struct sim sim;

/* A new flash, never written: garbage when dirty, else zeros as of no use. */
void sim_init(uint32_t sectors, uint32_t sector_bytes);
uint32_t sim_random(uint32_t below);

/* The tests. */
void test_frames(const char *file);
void test_tear(void);
void test_model(void);
void test_damage(void);
void test_stuck(void);
void test_mount_cost(void);
void test_wear(void);
void test_clock(void);
void test_schema(void);
void test_session(const char *file, bool print);
void test_frozen(const char *file, bool write);
void test_rollback(void);
void test_noise(void);

#endif
