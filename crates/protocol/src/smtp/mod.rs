//! SMTP and LMTP.
