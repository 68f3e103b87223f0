/* host-test NAME [FILE]: runs one test of the node's code on the host. */
#include <string.h>

#include "flashsim.h"

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } tests[] = {
      {"tear", test_tear},   {"model", test_model}, {"damage", test_damage},     {"stuck", test_stuck}, {"mount", test_mount_cost}, {"wear", test_wear},
      {"clock", test_clock}, {"schema", test_schema}, {"rollback", test_rollback}, {"noise", test_noise},
  };
  const char *name = argc > 1 ? argv[1] : "";
  if (argc > 2 && strcmp(name, "frames") == 0) {
    test_frames(argv[2]);
    return 0;
  }
  if (argc > 2 && strcmp(name, "session") == 0) {
    test_session(argv[2], argc > 3);
    return 0;
  }
  if (argc > 2 && strcmp(name, "frozen") == 0) {
    test_frozen(argv[2], argc > 3);
    return 0;
  }
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    if (strcmp(name, tests[i].name) != 0) continue;
    tests[i].run();
    return 0;
  }
  printf("no test %s\n", name);
  return 2;
}
