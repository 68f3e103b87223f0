/* Vectors and what runs before main. */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "node.h"

/* The linker's: addresses, and sizes that are addresses too. */
extern uint8_t data_begin[], bss_begin[], data_bytes[], bss_bytes[];
extern const uint8_t data_load[];
extern uint8_t stack_top[];

_Noreturn void reset(void);

void reset(void) {
  memcpy(data_begin, data_load, (size_t)(uintptr_t)data_bytes);
  memset(bss_begin, 0, (size_t)(uintptr_t)bss_bytes);
  spi_init();
  uart_init();
  tick_init();
  node_run();
}

/* A fault: begin anew. What is in the flash is in the flash. */
static void fault(void) {
  *(volatile uint32_t *)0xe000ed0cu = 0x05fa0004u; /* AIRCR: SYSRESETREQ */
  for (;;) {
  }
}

typedef void (*vector)(void);

#define UART0_VECTOR (16 + 10)

__attribute__((section(".vectors"), used)) static const vector vectors[UART0_VECTOR + 1] = {
    [0] = (vector)(uintptr_t)stack_top,
    [1] = reset,
    [2] = fault,
    [3] = fault,
    [4] = fault,
    [5] = fault,
    [6] = fault,
    [11] = fault,
    [12] = fault,
    [14] = fault,
    [15] = tick_interrupt,
    [UART0_VECTOR] = uart_interrupt,
};
