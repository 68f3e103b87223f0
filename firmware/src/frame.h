/* Frames of the serial line: CRC-32 and COBS. README.md draws them. */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX_BODY 236u                  /* before the CRC */
#define FRAME_MAX_WIRE (FRAME_MAX_BODY + 8u) /* delimiters, COBS overhead and CRC in it */

/* CRC-32 of IEEE 802.3, as zlib's: reflected 0xEDB88320. Goes on from an earlier
 * result; begins with 0. */
uint32_t crc32(uint32_t crc, const uint8_t *p, uint32_t len);

/* Makes the bytes of a frame for the wire and gives their number, at most
 * FRAME_MAX_WIRE. body is at most FRAME_MAX_BODY long. */
uint32_t frame_encode(const uint8_t *body, uint32_t len, uint8_t *wire);

/* Takes a stream of bytes apart into frames. All zero is ready. */
struct frame_reader {
  uint8_t buf[FRAME_MAX_WIRE];
  uint32_t len;
  bool overrun;   /* longer than any frame: waits for the next delimiter */
  uint32_t noise; /* frames that were none */
};

/* Takes one byte. When it ends a good frame, gives the length of its body, which
 * then lies in r->buf until the next call; else 0. */
uint32_t frame_take(struct frame_reader *r, uint8_t byte);

#endif
