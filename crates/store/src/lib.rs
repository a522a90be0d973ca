//! Where records and events live: SQLite embedded, and a memory store held to the same suite.
