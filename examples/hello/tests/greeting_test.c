#include "../src/greeting.h"

#include <stdio.h>
#include <string.h>

static int failures = 0;

static void check(int holds, const char *what) {
  printf("%s %s\n", holds ? "ok  " : "FAIL", what);
  if (!holds) failures++;
}

int main(void) {
  char line[32];
  check(greeting(line, sizeof line, "Ada") == 11 && strcmp(line, "Hello, Ada!") == 0, "greets by name");
  check(greeting(line, sizeof line, "") == -1, "refuses an empty name");
  check(greeting(line, sizeof line, "a name that is much too long for it") == -1, "refuses a name that does not fit");
  check(greeting(line, 0, "Ada") == -1, "writes nothing into no space");
  return failures == 0 ? 0 : 1;
}
