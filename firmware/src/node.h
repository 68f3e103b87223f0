/* The node: samples into the store, store into the line. */
#ifndef NODE_H
#define NODE_H

/* Runs for ever; the board calls it once its hardware is ready. */
_Noreturn void node_run(void);

#endif
