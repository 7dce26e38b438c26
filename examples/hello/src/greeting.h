#ifndef GREETING_H
#define GREETING_H

#include <stddef.h>

/* Writes "Hello, <name>!" into `buffer`. Returns its length, or -1 if it does not fit or the name is empty. */
int greeting(char *buffer, size_t size, const char *name);

#endif
