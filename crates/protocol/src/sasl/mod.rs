//! SASL mechanisms, both sides.
