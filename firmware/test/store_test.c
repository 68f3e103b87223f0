/* The store against a model that remembers everything, under power cuts at every
 * byte, damage, worn cells and many laps. */
#include <string.h>

#include "flash.h"
#include "flashsim.h"
#include "store.h"
#include "store_internal.h"

#define MOST 4096u

/* What the model knows. */
static struct {
  int32_t value[MOST]; /* by number */
  uint64_t given;      /* number of the newest reading that was given one */
  int32_t writing;     /* value of the reading being written */
  uint64_t acked;      /* as told to the store */
  uint64_t first;      /* below this the ring may have given up */
  uint32_t boots;
} model;

static struct store store;

/* The readings that fit a ring whose next sector is being opened: what is before
 * them may be gone, what is after must not. Notes take slots too. */
static uint64_t ring_holds(void) {
  uint32_t slots = (sim.sector_bytes - HEADER_BYTES) / SLOT_BYTES;
  return (uint64_t)(sim.sectors - 2) * slots;
}

static void append(int32_t value) {
  int32_t values[2] = {value, -value};
  model.writing = value;
  REQUIRE(store_append(&store, sim.now += 1000, values, 2), "append");
  model.given++;
  REQUIRE(store.last == model.given, "number %lu, want %lu", (unsigned long)store.last, (unsigned long)model.given);
  model.value[model.given] = value;
}

static void mount(void) {
  REQUIRE(store_mount(&store), "mount");
  model.boots++;
}

/* Reads everything and compares. notes: slots that hold no reading, at most. */
static void check(uint64_t notes, bool damaged) {
  uint64_t oldest = model.given + notes > ring_holds() ? model.given + notes - ring_holds() : 0;
  for (uint64_t n = 1; n <= store.last;) {
    struct slot slot;
    uint64_t through = 0;
    uint8_t reason = 0;
    enum store_found found = store_read(&store, n, &slot, &through, &reason);
    REQUIRE(found != STORE_END, "%lu of %lu", (unsigned long)n, (unsigned long)store.last);
    if (found == STORE_LOST) {
      REQUIRE(through >= n && through <= store.last, "lost %lu to %lu of %lu", (unsigned long)n, (unsigned long)through, (unsigned long)store.last);
      REQUIRE(damaged || (reason == LOST_OVERRUN && through <= oldest), "lost %lu to %lu of %lu, reason %d, the ring holds what is after %lu", (unsigned long)n,
              (unsigned long)through, (unsigned long)store.last, reason, (unsigned long)oldest);
      n = through + 1;
      continue;
    }
    REQUIRE(slot.sequence == n && slot.values[0] == model.value[n] && slot.values[1] == -model.value[n] && slot.count == 2, "reading %lu is %d, want %d",
            (unsigned long)n, slot.values[0], model.value[n]);
    n++;
  }
  struct slot slot;
  uint64_t through;
  uint8_t reason;
  REQUIRE(store_read(&store, store.last + 1, &slot, &through, &reason) == STORE_END, "a reading after the last");
}

/* After a power cut: the reading under way has its number or not. */
static void recovered(void) {
  if (store.last == model.given + 1) model.value[++model.given] = model.writing;
  REQUIRE(store.last == model.given, "%lu readings after the cut, %lu before", (unsigned long)store.last, (unsigned long)model.given);
  REQUIRE(store.acked <= model.acked, "acknowledged %lu, told %lu", (unsigned long)store.acked, (unsigned long)model.acked);
  REQUIRE(store.acked + STORE_CURSOR_LAG + 1 >= model.acked, "acknowledged %lu, told %lu", (unsigned long)store.acked, (unsigned long)model.acked);
}

static void fresh(uint32_t sectors, uint32_t sector_bytes) {
  sim_init(sectors, sector_bytes);
  memset(&model, 0, sizeof model);
}

/* The life that is cut: three laps and a bit, with acknowledgements. */
static void life(uint32_t readings) {
  mount();
  store_set_clock(&store, 1700000000000000);
  for (uint32_t i = 0; i < readings; i++) {
    append((int32_t)i * 7 + 1);
    if (i % 5 == 4) {
      model.acked = model.given - 2;
      store_acknowledge(&store, model.acked);
    }
  }
  for (uint64_t a = model.acked; a <= model.given; a += 3) { /* acknowledgements without readings */
    model.acked = a;
    store_acknowledge(&store, a);
  }
}

/* Runs f with a power cut at a tear point; tells whether it came to that. */
static bool cut_at(uint64_t point, void (*f)(uint32_t), uint32_t argument) {
  sim.armed = true;
  sim.cut = point;
  if (setjmp(sim.off) == 0) {
    f(argument);
    sim.armed = false;
    return false;
  }
  return true;
}

static void remount(uint32_t unused) {
  (void)unused;
  mount();
}

/* test_tear cuts the power at every byte of every operation of a life, in three
 * ways, and once more in the mount after it, and goes on. */
void test_tear(void) {
  const uint32_t sectors = 4, sector_bytes = 256 * 3, readings = 60;
  fresh(sectors, sector_bytes);
  life(readings);
  uint64_t points = sim.bytes, again = 0;
  for (int tear = 0; tear < TEAR_KINDS; tear++) {
    for (uint64_t point = 0; point < points; point++) {
      fresh(sectors, sector_bytes);
      sim.tear = (enum tear)tear;
      sim.random = point * 3 + (uint64_t)tear + 1;
      REQUIRE(cut_at(point, life, readings), "no cut at %lu", (unsigned long)point);
      uint64_t mounted = sim.bytes;
      if (cut_at(sim.bytes + sim_random(200), remount, 0)) again++;
      if (sim.bytes != mounted) model.boots++;
      mount();
      recovered();
      check(10, false);
      for (int32_t i = 0; i < 9; i++) append(1000000 + i);
      check(10, false);
      mount();
      check(10, false);
    }
  }
  printf("tear: %lu points in 3 ways, %lu cut again in the mount\n", (unsigned long)points, (unsigned long)again);
  REQUIRE(points > 5000 && again > points, "hardly anything was torn");
}

/* test_model does random things with whole cuts between operations. */
void test_model(void) {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    fresh(3 + (uint32_t)seed % 6, 256 * (2 + (uint32_t)seed % 3));
    sim.random = seed;
    memset(sim.flash, (int)seed, sim.sectors * sim.sector_bytes); /* whatever was there */
    mount();
    uint64_t notes = 1;
    for (uint32_t i = 0; i < 400; i++) {
      switch (sim_random(20)) {
      case 0:
        mount();
        recovered();
        model.acked = store.acked;
        notes++;
        break;
      case 1:
        store_set_clock(&store, (int64_t)(1700000000000000 + sim.now));
        notes++;
        break;
      case 2:
      case 3:
        model.acked += sim_random((uint32_t)(model.given - model.acked) + 1);
        store_acknowledge(&store, model.acked);
        notes++;
        break;
      default:
        append((int32_t)sim_random(1u << 30));
      }
      if (i % 23 == 0) check(notes, false);
    }
    check(notes, false);
  }
  printf("model: 200 lives\n");
}

/* test_damage flips bits anywhere: what is read is right, and what is not is
 * told as lost. */
void test_damage(void) {
  uint64_t lost = 0;
  for (uint64_t seed = 1; seed <= 400; seed++) {
    fresh(5, 256 * 4);
    sim.random = seed;
    mount();
    for (int32_t i = 0; i < 100; i++) append(i + 5);
    for (uint32_t i = 0; i < 1 + seed % 6; i++) sim.flash[sim_random(sim.sectors * sim.sector_bytes)] ^= (uint8_t)(1 << sim_random(8));
    check(1, true);
    uint64_t before = model.given;
    mount();
    REQUIRE(store.last <= before, "numbers from nowhere");
    lost += before - store.last; /* the newest slots were damaged: their numbers are given again */
    model.given = store.last;
    check(1, true);
    for (int32_t i = 0; i < 30; i++) append(i + 900);
    check(1, true);
  }
  printf("damage: 400 flashes, %lu newest readings gone with their numbers\n", (unsigned long)lost);
}

/* test_stuck has cells that do not take a program: slots and sectors are passed
 * over, nothing that was given a number is lost. */
void test_stuck(void) {
  uint32_t torn = 0, skipped = 0;
  for (uint32_t stuck = 150; stuck < 900; stuck += 50) {
    fresh(8, 256 * 5);
    sim.stuck = stuck;
    if (!store_mount(&store)) continue;
    for (int32_t i = 0; i < 200; i++) append(i * 3 + 1);
    check(200, false);
    torn += store.torn;
    skipped += store.skipped;
    mount();
    check(200, false);
  }
  printf("stuck: %u slots and %u sectors passed over\n", torn, skipped);
  REQUIRE(torn > 0 && skipped > 0, "no cell was stuck");
}

/* Bytes that a mount reads of a ring of so many sectors of 64 KiB. */
static uint64_t mount_reads(uint32_t sectors, uint32_t readings) {
  fresh(sectors, 65536);
  REQUIRE(store_mount(&store), "mount");
  int32_t values[2] = {1, 2};
  for (uint32_t i = 0; i < readings; i++) REQUIRE(store_append(&store, i, values, 2), "append");
  sim.read = 0;
  REQUIRE(store_mount(&store), "mount");
  REQUIRE(store.last == readings, "%lu", (unsigned long)store.last);
  return sim.read;
}

/* test_mount_cost: a mount reads so many bytes as it takes to halve the ring, not
 * as the ring has. */
void test_mount_cost(void) {
  uint64_t small = mount_reads(8, 9000), large = mount_reads(256, 270000);
  printf("mount: %lu bytes read of 512 KiB, %lu of 16 MiB\n", (unsigned long)small, (unsigned long)large);
  REQUIRE(large < small + 5 * 256 + 1024 && large < 6000, "a mount reads %lu bytes", (unsigned long)large);
  memset(sim.flash, 0, 4); /* the first header is being written: every header is read, and no more */
  sim.read = 0;
  REQUIRE(store_mount(&store) && store.last == 270000, "mount by scan");
  REQUIRE(sim.read < 256 * 256 + 6000, "a scan reads %lu bytes", (unsigned long)sim.read);
}

/* test_wear: whatever is written, sectors are erased equally often. */
void test_wear(void) {
  fresh(6, 256 * 3);
  mount();
  for (uint32_t i = 0; i < 3000; i++) {
    append((int32_t)i);
    store_acknowledge(&store, store.last - sim_random(3) * (store.last > 3));
    if (i % 40 == 0) mount();
  }
  uint32_t least = UINT32_MAX, most = 0;
  for (uint32_t i = 0; i < sim.sectors; i++) {
    if (sim.erased[i] < least) least = sim.erased[i];
    if (sim.erased[i] > most) most = sim.erased[i];
  }
  printf("wear: sectors erased %u to %u times\n", least, most);
  REQUIRE(most - least <= 1 && least > 10, "uneven");
}

/* test_clock: readings before the first time of their boot are dated from it, in
 * this boot and after it; a boot that never had it stays undated. */
void test_clock(void) {
  fresh(4, 256 * 9);
  for (int boot = 1; boot <= 4; boot++) {
    sim.now = 0;
    mount();
    for (int32_t i = 0; i < 10; i++) append(boot);
    if (boot != 2) store_set_clock(&store, boot * 1000000);
    for (int32_t i = 0; i < 10; i++) append(boot);
  }
  for (uint64_t n = 1; n <= store.last; n++) {
    struct slot slot;
    uint64_t through;
    uint8_t reason;
    if (store_read(&store, n, &slot, &through, &reason) != STORE_READING) continue;
    int64_t want = slot.boot == 2 ? 0 : (int64_t)slot.boot * 1000000;
    REQUIRE(store_clock(&store, &slot) == want, "reading %lu of boot %u is dated %ld", (unsigned long)n, slot.boot, (long)store_clock(&store, &slot));
    REQUIRE((n - 1) % 20 >= 10 || slot.clock == 0, "reading %lu knew the time", (unsigned long)n);
  }
  printf("clock: boots dated backwards\n");
}

/* test_schema: other sensors begin another sector, and each reading's schema can
 * be had. */
void test_schema(void) {
  static const char *const schemas[] = {"a,m,0\nb,m,0\n", "c,V,-3\nd,V,-3\n", "a,m,0\nb,m,0\n"};
  fresh(6, 256 * 4);
  for (int boot = 0; boot < 3; boot++) {
    sim.schema = schemas[boot];
    mount();
    for (int32_t i = 0; i < 5; i++) append(boot * 10 + i);
  }
  for (uint64_t n = 1; n <= store.last; n++) {
    struct slot slot;
    uint64_t through;
    uint8_t reason, text[SCHEMA_MAX];
    REQUIRE(store_read(&store, n, &slot, &through, &reason) == STORE_READING, "reading %lu", (unsigned long)n);
    uint32_t len = store_schema(&store, n, slot.schema, text);
    const char *want = schemas[(n - 1) / 5];
    REQUIRE(len == strlen(want) && memcmp(text, want, len) == 0, "schema of reading %lu: %.*s", (unsigned long)n, (int)len, (const char *)text);
  }
  printf("schema: each reading has its own\n");
}

/* A life whose flash is frozen: notes of every type, two boots, a lap, a torn
 * slot. */
static void frozen_life(void) {
  fresh(4, 256 * 3);
  mount();
  for (int32_t i = 0; i < 8; i++) append(i * 100 + 1);
  store_set_clock(&store, 1700000000000000);
  for (int32_t i = 8; i < 30; i++) append(i * 100 + 1);
  model.acked = 25;
  store_acknowledge(&store, model.acked);
  sim.flash[slot_address(&store, store.head, store.free) + 9] = 0x5a;
  mount();
  for (int32_t i = 30; i < 33; i++) append(i * 100 + 1);
}

/* test_frozen: a flash that this version has written reads for ever, and this
 * version still writes it so. */
void test_frozen(const char *file, bool write) {
  frozen_life();
  uint32_t bytes = sim.sectors * sim.sector_bytes;
  FILE *f = fopen(file, write ? "wb" : "rb");
  REQUIRE(f != NULL, "open %s", file);
  if (write) {
    REQUIRE(fwrite(sim.flash, 1, bytes, f) == bytes && fclose(f) == 0, "write %s", file);
    return;
  }
  uint8_t *image = malloc(bytes);
  REQUIRE(image != NULL && fread(image, 1, bytes, f) == bytes, "read %s", file);
  fclose(f);
  REQUIRE(memcmp(image, sim.flash, bytes) == 0, "this version writes another flash");
  memcpy(sim.flash, image, bytes);
  free(image);
  mount();
  recovered();
  REQUIRE(store.boot == 3 && store.acked == model.acked && store.node == 7 && store.format == 0x1122334455667788, "boot %u, acknowledged %lu", store.boot,
          (unsigned long)store.acked);
  check(8, false);
  printf("frozen: %u bytes as ever\n", bytes);
}
