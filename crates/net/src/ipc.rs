//! The IPC transport.
