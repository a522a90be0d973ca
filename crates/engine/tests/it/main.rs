//! The engine's tests. The table itself is proved by the simulation, row by row and fault by
//! fault; here stands what can be said of its parts alone.

mod table;
mod world;
