/* The hardware under a node: what a board has to provide, and nothing else. A
 * board is one folder under board/ with these functions, its start-up code and
 * its linker script; test/flashsim.c is one more, for the host.
 *
 * All functions are called from the main loop, but for node_tick, which the
 * board calls from its tick interrupt. None allocates. */
#ifndef HAL_H
#define HAL_H

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since the reset; never runs back, does not wrap. */
uint64_t hal_micros(void);

/* Sleeps until the next interrupt; at once when one is pending. */
void hal_sleep(void);

/* The node's number, burnt in at its making. It is read once, when the flash is
 * formatted; from then on the flash's is valid. */
uint64_t hal_node_id(void);

/* 64 bits that no other start of any node gives: a random number generator, the
 * noise of an ADC, the jitter between two clocks. Asked at formatting only. */
uint64_t hal_entropy(void);

/* The flash: sectors that are erased whole, pages that are programmed at most
 * at once. Programming clears bits, erasing sets them all. Addresses count from
 * the first byte that the node may use. */
#define HAL_FLASH_PAGE 256u
uint32_t hal_flash_sectors(void);      /* at least 3 */
uint32_t hal_flash_sector_bytes(void); /* a multiple of a page, at least two */
void hal_flash_read(uint32_t addr, void *into, uint32_t len);
/* Within one page. Returns when the chip has finished; what it wrote is to be
 * read back, since a worn cell or a power cut shows in no other way. */
void hal_flash_program(uint32_t addr, const void *from, uint32_t len);
/* The sector that begins at addr. May take seconds; sleeps meanwhile. */
void hal_flash_erase(uint32_t addr);

/* The serial line, 8N1. Both return at once with the number of bytes moved. */
uint32_t hal_uart_read(uint8_t *into, uint32_t max);
uint32_t hal_uart_write(const uint8_t *from, uint32_t len);
uint32_t hal_uart_room(void); /* bytes that hal_uart_write would take now */

/* The sensors: their description, see README.md "Schema", and one sample of
 * them. hal_sample is called in the tick interrupt and must be quick; a slow
 * sensor is read in the background and its newest value given here. */
#define HAL_MAX_VALUES 6u
#define HAL_NO_VALUE INT32_MIN /* a sensor that did not answer */
struct hal_sensors {
  const char *schema;    /* lines of metric, unit and exponent */
  uint32_t count;        /* of values, at most HAL_MAX_VALUES */
  uint32_t period_ticks; /* between two samples, at least 1 */
};
const struct hal_sensors *hal_sensors(void);
void hal_sample(int32_t *values);

/* Called by the board every tick, from its interrupt. */
void node_tick(void);

#endif
