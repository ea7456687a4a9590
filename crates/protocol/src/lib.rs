//! Bytes that two parties exchange: SMTP, LMTP, IMAP, SASL and IPC, as pure machines.
