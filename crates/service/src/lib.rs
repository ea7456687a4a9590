//! What makes a program a good daemon.
