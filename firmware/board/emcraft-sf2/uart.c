/* UART 0 of the SmartFusion2: a 16550 with registers four bytes apart. */
#include <stdatomic.h>

#include "board.h"
#include "hal.h"

#define UART(n) (*reg(0x40000000u + 4u * (n)))
#define RBR UART(0) /* read: received byte */
#define THR UART(0) /* write: byte to send */
#define DLL UART(0) /* with LCR_DLAB: divisor */
#define DLM UART(1)
#define IER UART(1)
#define FCR UART(2)
#define LCR UART(3)
#define LSR UART(5)

#define IER_RX 1u
#define IER_TX 2u
#define FCR_ON 7u /* FIFOs on and empty */
#define LCR_8N1 3u
#define LCR_DLAB 0x80u
#define LSR_RX 1u
#define LSR_TX 0x20u /* the send FIFO is empty */
#define FIFO 16u

#define NVIC_ISER0 (*reg(0xe000e100u))
#define UART0_IRQ 10u

#define BAUD 115200u
#define PCLK_HZ (CPU_HZ / 2u)

/* Rings between interrupt and main loop; counts, whose difference is waiting. */
#define RX 512u
#define TX 512u
static volatile uint8_t rx[RX], tx[TX];
static atomic_uint rx_in, rx_out, tx_in, tx_out;

void uart_init(void) {
  LCR = LCR_DLAB;
  DLL = (PCLK_HZ + 8u * BAUD) / (16u * BAUD);
  DLM = 0;
  LCR = LCR_8N1;
  FCR = FCR_ON;
  IER = IER_RX;
  NVIC_ISER0 = 1u << UART0_IRQ;
}

/* A byte for which there is no room is lost; its frame comes again. */
void uart_interrupt(void) {
  while (LSR & LSR_RX) {
    uint8_t byte = (uint8_t)RBR;
    if (rx_in - rx_out < RX) {
      rx[rx_in % RX] = byte;
      rx_in++;
    }
  }
  if (LSR & LSR_TX) {
    for (uint32_t n = 0; n < FIFO && tx_in != tx_out; n++) {
      THR = tx[tx_out % TX];
      tx_out++;
    }
    if (tx_in == tx_out) IER = IER_RX; /* nothing to send: quiet */
  }
}

uint32_t hal_uart_read(uint8_t *into, uint32_t max) {
  uint32_t n = 0;
  for (; n < max && rx_in != rx_out; n++) {
    into[n] = rx[rx_out % RX];
    rx_out++;
  }
  return n;
}

uint32_t hal_uart_room(void) { return TX - (tx_in - tx_out); }

uint32_t hal_uart_write(const uint8_t *from, uint32_t len) {
  uint32_t n = 0;
  for (; n < len && tx_in - tx_out < TX; n++) {
    tx[tx_in % TX] = from[n];
    tx_in++;
  }
  if (n > 0) {
    uint32_t was = irq_off();
    IER = IER_RX | IER_TX; /* the interrupt fetches it */
    irq_restore(was);
  }
  return n;
}
