//! Tests of the driver loop with a small echo machine over every kind of trouble.
