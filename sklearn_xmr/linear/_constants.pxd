# Numbers that the solver, the stored weights and the search agree on.
cdef extern from "_constants.h" nogil:
    enum:
        XMR_LANES
        XMR_CHUNK_WIDTH
        XMR_CHUNK_BLOCKS
        XMR_QUERIES
        XMR_SPARE
        XMR_SQUARED_HINGE
        XMR_HINGE
        XMR_LOGISTIC
        XMR_FLOAT32
        XMR_FLOAT16
        XMR_INT8
        XMR_OWN
        XMR_ALL
        XMR_MINED
        XMR_NOOP
        XMR_SIGMOID
        XMR_L1_HINGE
        XMR_L4_HINGE
