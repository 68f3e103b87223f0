/* SysTick: the tick, the time since the reset, and sleep. */
#include "board.h"
#include "hal.h"

#define SYST_CSR (*reg(0xe000e010u))
#define SYST_RVR (*reg(0xe000e014u))
#define SYST_CVR (*reg(0xe000e018u))
#define ICSR (*reg(0xe000ed04u))
#define TICK_PENDING (1u << 26)

#define CYCLES (CPU_HZ / TICK_HZ)
#define CYCLES_PER_MICRO (CPU_HZ / 1000000u)

static volatile uint64_t ticks;

void tick_init(void) {
  SYST_RVR = CYCLES - 1;
  SYST_CVR = 0;
  SYST_CSR = 7; /* on, with interrupt, from the processor's clock */
}

void tick_interrupt(void) {
  ticks++;
  node_tick();
}

uint32_t tick_phase(void) { return SYST_CVR; }

uint64_t hal_micros(void) {
  static uint64_t newest;
  uint32_t was = irq_off();
  uint32_t left = SYST_CVR;
  uint64_t n = ticks;
  if (ICSR & TICK_PENDING) { /* it wrapped, and ticks has not been told */
    left = SYST_CVR;
    n++;
  }
  uint64_t now = n * (1000000u / TICK_HZ) + (CYCLES - 1 - left) / CYCLES_PER_MICRO;
  if (now > newest) newest = now;
  now = newest;
  irq_restore(was);
  return now;
}

void hal_sleep(void) { __asm volatile("wfi"); }
