"""Numbers that the solver, the stored weights and the search agree on, for Python.

Attributes
----------
LANES : int
    Children of a node that are solved in lockstep.
CHUNK_WIDTH : int
    Most children whose weights are stored together.
SPARE : int
    Bytes that the search may read beyond the last of a level's packed weights.
LOSSES : dict of str to int
VALUE_TYPES : tuple of str
    Types of stored weights; the position is the code.
OWN, ALL, MINED : int
    What a row of a node trains: only the children that it is positive for, all of them,
    or all as a mined negative.
COMBINERS : dict of str to int
    How margins become scores along a path; 1 to 4 are powers of the hinge.
"""

LANES = XMR_LANES
CHUNK_WIDTH = XMR_CHUNK_WIDTH
SPARE = XMR_SPARE

OWN, ALL, MINED = XMR_OWN, XMR_ALL, XMR_MINED

LOSSES = {"squared_hinge": XMR_SQUARED_HINGE, "hinge": XMR_HINGE, "logistic": XMR_LOGISTIC}

_VALUE_CODES = {"float32": XMR_FLOAT32, "float16": XMR_FLOAT16, "int8": XMR_INT8}
VALUE_TYPES = tuple(sorted(_VALUE_CODES, key=_VALUE_CODES.get))

COMBINERS = {"sigmoid": XMR_SIGMOID, "noop": XMR_NOOP}
COMBINERS.update({f"l{power}_hinge": power for power in range(XMR_L1_HINGE, XMR_L4_HINGE + 1)})
