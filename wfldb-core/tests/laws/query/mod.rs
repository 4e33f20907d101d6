//! Queries: the language against a second reading of it, the planner against walking everything.

mod language;
mod naive;
mod planner;
mod refused;
