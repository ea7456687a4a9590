//! The harness that the tests of this crate share: real processes on ports of their own.
