//! Logins for all agents.
