//! Decides: the replacement table, markets, retention, invariants. Pure.
