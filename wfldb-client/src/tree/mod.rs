//! Copying directory trees: names, times and modes, the local walk, and safe places to write to. The rules are the
//! ones that `wfldb cp --help` states.

pub mod meta;
pub mod name;
pub mod part;
pub mod place;
pub mod walk;
