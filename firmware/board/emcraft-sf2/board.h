/* The parts of this board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define CPU_HZ 142000000u
#define TICK_HZ 100u

static inline volatile uint32_t *reg(uint32_t addr) { return (volatile uint32_t *)(uintptr_t)addr; }

/* Interrupts off; gives what irq_restore puts back. */
static inline uint32_t irq_off(void) {
  uint32_t was;
  __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(was)::"memory");
  return was;
}

static inline void irq_restore(uint32_t was) { __asm volatile("msr primask, %0" ::"r"(was) : "memory"); }

void spi_init(void);
void uart_init(void);
void tick_init(void);
void uart_interrupt(void);
void tick_interrupt(void);

/* Ticks since the reset, and the count-down within the tick: the jitter between
 * it and the world is what entropy there is. */
uint32_t tick_phase(void);

/* What a factory would burn in, and a jumper set. In QEMU `-device loader` puts
 * it there before each start; zero means the default. */
struct factory {
  uint32_t node;         /* 1 */
  uint32_t sectors;      /* all of the chip */
  uint32_t period_ticks; /* 100: a sample a second */
};
#define FACTORY ((const volatile struct factory *)0x2000ff00u)

#endif
