/* What this board measures: made up, since QEMU has no weather, but never the
 * same twice. */
#include "board.h"
#include "hal.h"

static const char schema[] = "temperature,Cel,-3\npressure,Pa,0\nsupply,V,-3\n";

const struct hal_sensors *hal_sensors(void) {
  static struct hal_sensors s = {.schema = schema, .count = 3};
  uint32_t period = FACTORY->period_ticks;
  s.period_ticks = period > 0 ? period : TICK_HZ;
  return &s;
}

static uint64_t noise; /* a linear congruential generator, fed with jitter */

static uint32_t draw(uint32_t below) {
  noise = (noise ^ tick_phase()) * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(noise >> 33) % below;
}

void hal_sample(int32_t *values) {
  values[0] = 18000 + (int32_t)draw(8000);
  values[1] = draw(64) == 0 ? HAL_NO_VALUE : 98000 + (int32_t)draw(6000); /* now and then it does not answer */
  values[2] = 3100 + (int32_t)draw(300);
}

uint64_t hal_node_id(void) { return FACTORY->node > 0 ? FACTORY->node : 1; }

/* The processor's clock and the tick's come of one crystal on a real board,
 * whose random number generator belongs here; in QEMU the phase is the host's
 * jitter. */
uint64_t hal_entropy(void) {
  uint64_t e = 0;
  for (uint32_t i = 0; i < 64; i++) {
    hal_sleep();
    e = (e << 7 | e >> 57) ^ tick_phase() * 0x9e3779b97f4a7c15u;
  }
  return e;
}
