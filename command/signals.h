/* SIGINT and SIGTERM as a request to stop after the work in hand. */
#ifndef COMMAND_SIGNALS_H
#define COMMAND_SIGNALS_H

#include <stdbool.h>

#include "shard.h"
#include "vqct/status.h"

/** From now on the two signals only set a flag; a second one ends the process at once. */
void signals_catch(void);

/** Whether one has come. */
bool signals_stop(void);

/** Whether work that came to this status was stopped by one, within a picture or between two. */
bool signals_ended(enum vqct_status status);

/** The question of signals_stop for those who list pictures, and for sessions. */
extern const struct shard_stop signals_stopping;

#endif
