/* A Modbus server for the tests, over libmodbus: unit 1 on a serial line, any
 * unit over TCP. Holding 0 and 1 count the requests, so each answer tells when it
 * was made; "<count> <microseconds since 1970> <trouble>" goes to stdout for each.
 * "ready <TCP port>" comes first; of port 0 the system chooses one.
 * A line on stdin makes the next requests go wrong: "stall N", "drop N", "garble N";
 * "except CODE" has all refused with that exception, until "except 0".
 */
#include <errno.h>
#include <fcntl.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int stall, drop, garble, except;

static void commands(void) {
  static char line[64];
  static size_t used;
  char c;
  while (read(0, &c, 1) == 1) {
    if (c != '\n') {
      if (used < sizeof line - 1) line[used++] = c;
      continue;
    }
    line[used] = 0;
    used = 0;
    sscanf(line, "stall %d", &stall);
    sscanf(line, "drop %d", &drop);
    sscanf(line, "garble %d", &garble);
    sscanf(line, "except %d", &except);
  }
}

int main(int argc, char **argv) {
  int tcp = argc == 3 && strcmp(argv[1], "tcp") == 0;
  modbus_t *m = tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 19200, 'E', 8, 1);
  modbus_mapping_t *map = modbus_mapping_new(4, 4, 4, 4);
  uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
  uint32_t count = 0;
  int listener = -1;
  if (!m || !map) return 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  fcntl(0, F_SETFL, O_NONBLOCK);
  map->tab_registers[2] = 0x41ac; /* 21.5 */
  map->tab_input_registers[0] = (uint16_t)-7;
  map->tab_bits[0] = 1;
  modbus_set_slave(m, 1);
  if (tcp && (listener = modbus_tcp_listen(m, 4)) < 0) return 2;
  if (!tcp && modbus_connect(m) < 0) return 3;
  struct sockaddr_in bound = {0};
  socklen_t size = sizeof bound;
  if (tcp && getsockname(listener, (struct sockaddr *)&bound, &size) < 0) return 4;
  printf("ready %d\n", ntohs(bound.sin_port));
  if (tcp) modbus_tcp_accept(m, &listener);
  for (;;) {
    int n = modbus_receive(m, query);
    commands();
    if (n == 0) { /* another unit's; libmodbus takes the next message for that one's answer, but it is dead */
      modbus_close(m);
      modbus_free(m);
      m = modbus_new_rtu(argv[2], 19200, 'E', 8, 1);
      modbus_set_slave(m, 1);
      if (modbus_connect(m) < 0) return 5;
      continue;
    }
    if (n < 0) {
      if (tcp) {
        modbus_close(m);
        modbus_tcp_accept(m, &listener);
      } else {
        modbus_flush(m);
      }
      continue;
    }
    struct timeval now;
    gettimeofday(&now, NULL);
    count++;
    map->tab_registers[0] = count >> 16;
    map->tab_registers[1] = count;
    const char *trouble = stall ? "stall" : drop ? "drop" : garble ? "garble" : except ? "except" : "none";
    printf("%u %lld %s\n", count, (long long)now.tv_sec * 1000000 + now.tv_usec, trouble);
    if (stall) {
      stall--;
      usleep(1500000);
    } else if (drop) {
      drop--;
      if (write(modbus_get_socket(m), "\x01\x03\x08\x00", 4) < 0) return 4;
      continue;
    } else if (garble) {
      garble--;
      if (write(modbus_get_socket(m), "\x01\x03\x08\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09", 13) < 0) return 4;
      continue;
    } else if (except) {
      modbus_reply_exception(m, query, except);
      continue;
    }
    modbus_reply(m, query, n, map);
  }
}
