//! The client side of SMTP and LMTP as a pure machine.
