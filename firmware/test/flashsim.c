#include "flashsim.h"

#include <string.h>

#include "hal.h"

struct sim sim;

void sim_init(uint32_t sectors, uint32_t sector_bytes) {
  free(sim.flash);
  free(sim.erased);
  memset(&sim, 0, sizeof sim);
  sim.sectors = sectors;
  sim.sector_bytes = sector_bytes;
  sim.flash = calloc(sectors, sector_bytes);
  sim.erased = calloc(sectors, sizeof *sim.erased);
  REQUIRE(sim.flash != NULL && sim.erased != NULL, "no memory");
  sim.entropy = 0x1122334455667788u;
  sim.room = sizeof sim.from_node;
  sim.schema = "temperature,Cel,-3\nsupply,V,-3\n";
  sim.random = 1;
}

uint32_t sim_random(uint32_t below) {
  sim.random = sim.random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(sim.random >> 33) % below;
}

/* What becomes of byte at of an operation that is cut at byte k. */
static uint8_t torn(uint32_t at, uint32_t k, uint8_t old, uint8_t new) {
  bool done = sim.tear == TEAR_BACK ? at >= k : at < k;
  if (done) return new;
  if (sim.tear != TEAR_BITS) return old;
  uint8_t some = (uint8_t)sim_random(256);
  return (uint8_t)((old & ~some) | (new & some));
}

/* Carries an operation out, or a part of it and then cuts the power. from NULL
 * erases. */
static void operate(uint32_t addr, const uint8_t *from, uint32_t len) {
  bool cut = sim.armed && sim.cut < sim.bytes + len;
  uint32_t k = cut ? (uint32_t)(sim.cut - sim.bytes) : len;
  for (uint32_t i = 0; i < len; i++) {
    uint8_t old = sim.flash[addr + i], new = from == NULL ? 0xff : (uint8_t)(old & from[i]);
    if (from != NULL && sim.stuck > 0 && (addr + i) * 2654435761u % sim.stuck == 0) new = (uint8_t)(new | (old & 1));
    sim.flash[addr + i] = cut ? torn(i, k, old, new) : new;
  }
  sim.bytes += len;
  if (cut) {
    sim.armed = false;
    longjmp(sim.off, 1);
  }
}

uint32_t hal_flash_sectors(void) { return sim.sectors; }
uint32_t hal_flash_sector_bytes(void) { return sim.sector_bytes; }

void hal_flash_read(uint32_t addr, void *into, uint32_t len) {
  REQUIRE(addr + len <= sim.sectors * sim.sector_bytes, "read beyond the flash: %u, %u", addr, len);
  memcpy(into, sim.flash + addr, len);
  sim.read += len;
}

void hal_flash_program(uint32_t addr, const void *from, uint32_t len) {
  REQUIRE(len > 0 && addr % HAL_FLASH_PAGE + len <= HAL_FLASH_PAGE, "program across pages: %u, %u", addr, len);
  REQUIRE(addr + len <= sim.sectors * sim.sector_bytes, "program beyond the flash: %u, %u", addr, len);
  operate(addr, from, len);
}

void hal_flash_erase(uint32_t addr) {
  REQUIRE(addr % sim.sector_bytes == 0 && addr / sim.sector_bytes < sim.sectors, "erase at %u", addr);
  sim.erased[addr / sim.sector_bytes]++;
  operate(addr, NULL, sim.sector_bytes);
}

uint64_t hal_micros(void) { return sim.now; }
void hal_sleep(void) { sim.now += 10000; }
uint64_t hal_node_id(void) { return 7; }
uint64_t hal_entropy(void) { return sim.entropy++; }

uint32_t hal_uart_read(uint8_t *into, uint32_t max) {
  uint32_t n = sim.to_len < max ? sim.to_len : max;
  memcpy(into, sim.to_node, n);
  memmove(sim.to_node, sim.to_node + n, sim.to_len - n);
  sim.to_len -= n;
  return n;
}

uint32_t hal_uart_room(void) { return sim.room - sim.from_len; }

uint32_t hal_uart_write(const uint8_t *from, uint32_t len) {
  REQUIRE(len <= hal_uart_room(), "wrote %u bytes where %u were free", len, hal_uart_room());
  memcpy(sim.from_node + sim.from_len, from, len);
  sim.from_len += len;
  return len;
}

const struct hal_sensors *hal_sensors(void) {
  static struct hal_sensors s;
  s = (struct hal_sensors){sim.schema, 2, 1};
  return &s;
}

void hal_sample(int32_t *values) { values[0] = values[1] = 0; }
