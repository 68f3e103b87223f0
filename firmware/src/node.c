#include "node.h"

#include <stdatomic.h>

#include "hal.h"
#include "link.h"
#include "store.h"

/* Samples on their way from the tick interrupt to the main loop: as many as come
 * while the flash erases a sector. */
#define QUEUE 16u

#define MOUNT_WAIT 60000000u /* microseconds */

struct sample {
  uint64_t uptime;
  int32_t values[HAL_MAX_VALUES];
};

static struct sample queue[QUEUE];
static atomic_uint taken, sampled; /* counts; the difference is waiting */
static atomic_uint missed;         /* samples for which the queue had no room */
static uint32_t countdown;         /* the tick interrupt's */
static struct store store;
static struct link uplink;

void node_tick(void) {
  if (countdown > 0) {
    countdown--;
    return;
  }
  countdown = hal_sensors()->period_ticks - 1;
  if (sampled - taken == QUEUE) {
    missed++;
    return;
  }
  struct sample *s = &queue[sampled % QUEUE];
  s->uptime = hal_micros();
  hal_sample(s->values);
  sampled++;
}

/* Stores what was sampled. */
static void drain(void) {
  while (taken != sampled) {
    const struct sample *s = &queue[taken % QUEUE];
    if (!store_append(&store, s->uptime, s->values, hal_sensors()->count)) missed++;
    taken++;
  }
}

void node_run(void) {
  while (!store_mount(&store)) /* a flash that takes nothing: try again, without wearing it out */
    for (uint64_t until = hal_micros() + MOUNT_WAIT; hal_micros() < until;) hal_sleep();
  link_init(&uplink, &store);
  for (;;) {
    drain();
    uplink.missed = missed;
    link_poll(&uplink, hal_micros());
    if (taken == sampled) hal_sleep();
  }
}
