//! Real and faulty disk behind one trait, and the intake log.
