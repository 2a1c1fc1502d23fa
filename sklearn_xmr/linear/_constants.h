/* Numbers that the solver, the stored weights and the search agree on. */
#ifndef XMR_CONSTANTS_H
#define XMR_CONSTANTS_H

enum {
    XMR_LANES = 32,        /* children solved in lockstep: a block, one bit each */
    XMR_VECTORS = XMR_LANES / 8,             /* of eight floats, in a block */
    XMR_CHUNK_WIDTH = 256, /* children stored together: one byte identifies them */
    XMR_CHUNK_BLOCKS = XMR_CHUNK_WIDTH / XMR_LANES,
    XMR_QUERIES = 8,       /* queries whose dense margins are computed together */
    XMR_SPARE = 32         /* bytes that the search may read beyond a level's last */
};

enum { XMR_SQUARED_HINGE = 0, XMR_HINGE = 1, XMR_LOGISTIC = 2 }; /* losses */

enum { XMR_FLOAT32 = 0, XMR_FLOAT16 = 1, XMR_INT8 = 2 }; /* types of stored values */

/* What a row of a node trains: its own positives, all children, all as a mined negative. */
enum { XMR_OWN = 0, XMR_ALL = 1, XMR_MINED = 2 };

/* Combiners of margins into scores; 1, 2, 3, ... are powers of the hinge. */
enum { XMR_NOOP = -1, XMR_SIGMOID = 0, XMR_L1_HINGE = 1, XMR_L4_HINGE = 4 };

#endif
