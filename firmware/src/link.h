/* The node's half of the protocol on the serial line; README.md describes it.
 * It decides what to send, and sends while the line takes it. It belongs to the
 * main loop. */
#ifndef LINK_H
#define LINK_H

#include "frame.h"
#include "store.h"

#define LINK_VERSION 1u
#define LINK_WINDOW 16u /* readings under way */

/* Frames: the node's, and the gateway's. */
enum frame_type {
  FRAME_HELLO = 0x01,
  FRAME_SCHEMA = 0x02,
  FRAME_READING = 0x03,
  FRAME_LOST = 0x04,
  FRAME_START = 0x05,
  FRAME_WHO = 0x11,
  FRAME_WELCOME = 0x12,
  FRAME_ACK = 0x13,
  FRAME_NAK = 0x14,
  FRAME_TIME = 0x15
};

struct link {
  struct store *store;
  struct frame_reader reader;
  uint32_t missed;    /* samples for which there was no room, told in HELLO */
  bool welcome;       /* the gateway knows who we are */
  bool started;       /* and with which number we begin */
  bool announced;     /* and the schema of what we send */
  uint16_t schema;    /* that schema */
  uint64_t next;      /* number to send next */
  uint64_t highest;   /* highest number sent since the reset */
  uint64_t due;       /* when to say HELLO again, or to send again */
  uint32_t wait;      /* microseconds from HELLO to HELLO */
  uint32_t unheard;   /* times nothing was acknowledged in time */
};

void link_init(struct link *l, struct store *store);

/* Takes what came, sends what can be sent. now: hal_micros. */
void link_poll(struct link *l, uint64_t now);

#endif
