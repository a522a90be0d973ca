//! The fleet: many nodes, queues, budgets and retries as a state machine, with its drivers.
