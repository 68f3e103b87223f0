/* SPI 0 of the SmartFusion2, and on it the NOR flash S25SL128P: 16 MiB in
 * sectors of 64 KiB. */
#include "board.h"
#include "hal.h"

#define SPI(n) (*reg(0x40001000u + 4u * (n)))
#define CONTROL SPI(0)
#define DFSIZE SPI(1)
#define STATUS SPI(2)
#define RX SPI(4)
#define TX SPI(5)
#define CLKGEN SPI(6)
#define SELECT SPI(7)

#define ENABLE 1u
#define MASTER 2u
#define FRAMES(n) ((n) << 8)  /* chip select stays for so many frames */
#define HOLD (1u << 26)       /* and between them */
#define BIGFIFO (1u << 29)    /* 32 frames of 8 bits */
#define RX_EMPTY (1u << 6)
#define MAX_FRAMES 0xffffu

#define WRITE_ENABLE 0x06u
#define READ_STATUS 0x05u
#define READ 0x03u
#define PROGRAM 0x02u
#define ERASE 0xd8u
#define BUSY 1u

#define SECTOR_BYTES 65536u
#define SECTORS 256u

void spi_init(void) {
  CONTROL = MASTER;
  DFSIZE = 8;
  CLKGEN = 1; /* a quarter of the bus clock */
  SELECT = 1;
}

static uint8_t exchange(uint8_t out) {
  TX = out;
  while (STATUS & RX_EMPTY) {
  }
  return (uint8_t)RX;
}

/* Begins an operation of so many bytes; the chip is deselected after the last. */
static void begin(uint32_t frames) {
  CONTROL = MASTER;
  CONTROL = MASTER | ENABLE | HOLD | BIGFIFO | FRAMES(frames);
}

static void command(uint8_t code, uint32_t addr, uint32_t more) {
  begin(4 + more);
  (void)exchange(code);
  (void)exchange((uint8_t)(addr >> 16));
  (void)exchange((uint8_t)(addr >> 8));
  (void)exchange((uint8_t)addr);
}

static bool busy(void) {
  begin(2);
  (void)exchange(READ_STATUS);
  return (exchange(0) & BUSY) != 0;
}

static void enable_write(void) {
  begin(1);
  (void)exchange(WRITE_ENABLE);
}

uint32_t hal_flash_sector_bytes(void) { return SECTOR_BYTES; }

uint32_t hal_flash_sectors(void) {
  uint32_t n = FACTORY->sectors;
  return n >= 3 && n < SECTORS ? n : SECTORS;
}

void hal_flash_read(uint32_t addr, void *into, uint32_t len) {
  uint8_t *p = into;
  command(READ, addr, len);
  for (uint32_t i = 0; i < len; i++) p[i] = exchange(0);
}

void hal_flash_program(uint32_t addr, const void *from, uint32_t len) {
  const uint8_t *p = from;
  enable_write();
  command(PROGRAM, addr, len);
  for (uint32_t i = 0; i < len; i++) (void)exchange(p[i]);
  while (busy()) {
  }
}

void hal_flash_erase(uint32_t addr) {
  enable_write();
  command(ERASE, addr, 0);
  while (busy()) hal_sleep();
}
