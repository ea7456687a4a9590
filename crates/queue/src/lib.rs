//! Letters in transit.
