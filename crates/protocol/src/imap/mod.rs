//! IMAP: grammar both ways, and the server and client machines.
