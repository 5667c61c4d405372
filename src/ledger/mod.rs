//! Where allocations are recorded.
