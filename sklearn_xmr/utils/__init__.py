"""What all parts share: input checks, threads, SIMD, node-local rows."""
