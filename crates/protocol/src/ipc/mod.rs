//! Frames and messages of the local IPC.
