#include "frame.h"

#include "bytes.h"

uint32_t crc32(uint32_t crc, const uint8_t *p, uint32_t len) {
  static const uint32_t table[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  crc = ~crc;
  for (uint32_t i = 0; i < len; i++) {
    crc = table[(crc ^ p[i]) & 15u] ^ (crc >> 4);
    crc = table[(crc ^ (uint32_t)(p[i] >> 4)) & 15u] ^ (crc >> 4);
  }
  return ~crc;
}

/* Takes the next byte into the COBS block that begins at *code, and begins a new
 * one where the block is full or the byte is zero. */
static uint32_t stuff(uint8_t *wire, uint32_t n, uint32_t *code, uint8_t byte) {
  if (byte != 0) {
    wire[n++] = byte;
    wire[*code]++;
  }
  if (byte == 0 || wire[*code] == 0xff) {
    *code = n;
    wire[n++] = 1;
  }
  return n;
}

uint32_t frame_encode(const uint8_t *body, uint32_t len, uint8_t *wire) {
  uint8_t crc[4];
  put32(crc, crc32(0, body, len));
  uint32_t n = 0;
  wire[n++] = 0; /* ends whatever noise stands before */
  uint32_t code = n;
  wire[n++] = 1;
  for (uint32_t i = 0; i < len; i++) n = stuff(wire, n, &code, body[i]);
  for (uint32_t i = 0; i < sizeof crc; i++) n = stuff(wire, n, &code, crc[i]);
  wire[n++] = 0;
  return n;
}

/* Undoes COBS in place and gives the length, 0 for what is no COBS. */
static uint32_t unstuff(uint8_t *buf, uint32_t len) {
  uint32_t from = 0, to = 0;
  while (from < len) {
    uint32_t code = buf[from++];
    if (code - 1u > len - from) return 0;
    for (uint32_t i = 1; i < code; i++) buf[to++] = buf[from++];
    if (code != 0xff && from < len) buf[to++] = 0;
  }
  return to;
}

uint32_t frame_take(struct frame_reader *r, uint8_t byte) {
  if (byte != 0) {
    if (r->len < sizeof r->buf)
      r->buf[r->len++] = byte;
    else
      r->overrun = true;
    return 0;
  }
  uint32_t n = r->overrun ? 0 : unstuff(r->buf, r->len);
  bool empty = r->len == 0;
  r->len = 0;
  r->overrun = false;
  if (empty) return 0;
  if (n < 5 || n - 4 > FRAME_MAX_BODY || crc32(0, r->buf, n - 4) != get32(r->buf + n - 4)) {
    r->noise++;
    return 0;
  }
  return n - 4;
}
