//! EC2's rules as a deterministic state machine, with a writing workload.
