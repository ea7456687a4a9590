//! Letters at rest.
