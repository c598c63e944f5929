/* Options in the environment, where others write too: Kubernetes sets VQCT_METRICS_PORT to
 * "tcp://10.0.0.1:9090" and more of the kind for a Service named vqct-metrics, Compose files leave
 * variables empty, and an application beside the service may keep a VQCT_URL of its own.
 */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "options.h"

struct variable_name {
  char text[80];
};

/** VQCT_MAX_BODY for "max-body". */
struct variable_name variable_name(const struct option *option);

/** The value of a variable; NULL where it is not set, is empty, or is an address that Kubernetes
 * writes for a Service (tcp://, udp:// or sctp://), which no option takes. */
const char *variable_value(const char *name);

/** Whether a variable is a slip of the pen for an option of the table: VQCT_ and a name that is no
 * option's but one letter away from one, or two in a name of over six. Names of both are told. */
bool environment_misspelt(const struct option_table *table, struct variable_name *misspelt,
                          struct variable_name *meant);

#endif
