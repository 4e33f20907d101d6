//! Who may do what: operations, the route table, and [`Authorized`], the proof that a check was made.
//!
//! INVARIANT: an [`Authorized`] comes from three functions only: [`authorize`] for a request,
//! [`Authorized::local`] for embedded and offline use, [`Authorized::system`] for our own workers.
//! The engine's functions take one, so an access that nobody allowed does not compile.

mod authorize;
mod authorized;
mod op;
mod route;
mod target;

pub use authorize::{Forbidden, ObjectAttributes, authorize};
pub use authorized::{Actor, Authorized, Charge, GrantId};
pub use op::{Op, OpSet};
pub use route::{Method, RouteKind, required};
pub use target::{Access, Target};
