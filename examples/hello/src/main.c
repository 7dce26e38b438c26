/* hello NAME…: greets. hello --serve: says that it runs, then greets the world once a second until it is told to stop. */
#include "greeting.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION "development"
#endif

static volatile sig_atomic_t stopping = 0;

static void stop(int signal_number) {
  (void)signal_number;
  stopping = 1;
}

static int serve(void) {
  struct sigaction action = {0};
  action.sa_handler = stop;
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  printf("hello %s: serving\n", VERSION);
  fflush(stdout);
  while (!stopping) sleep(1);
  puts("hello: stopped");
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--serve") == 0) return serve();
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    puts("hello " VERSION);
    return 0;
  }
  for (int index = 1; index < argc || index == 1; index++) {
    char line[256];
    if (greeting(line, sizeof line, argc > 1 ? argv[index] : "world") < 0) {
      fputs("hello: this name is empty or too long\n", stderr);
      return 1;
    }
    puts(line);
  }
  return 0;
}
