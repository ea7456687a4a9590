//! Tests of writing, reading and following the trail.
