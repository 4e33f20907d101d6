//! Who may do what: operations, the route table, and [`Authorized`], the proof that a check was made.
//!
//! INVARIANT: an [`Authorized`] comes from three functions only: [`authorize`] for a request,
//! [`Authorized::local`] for embedded and offline use, [`Authorized::system`] for our own workers.
//! The engine's functions take one, so an access that nobody allowed does not compile. It cannot be
//! written down, copied or made of less:
//!
//! ```compile_fail,E0451
//! # use wfldb_core::auth::{Access, Actor, Authorized};
//! fn forge(access: Access, other: Authorized) -> Authorized {
//!     Authorized { access, ..other }
//! }
//! ```
//! ```compile_fail,E0277
//! # use wfldb_core::auth::Authorized;
//! fn copy(proof: &Authorized) -> Authorized {
//!     Authorized::clone(proof)
//! }
//! ```
//! ```compile_fail,E0308
//! # use std::net::IpAddr;
//! # use wfldb_core::auth::{Authorized, Forbidden, Method, RouteKind, Target, Written, authorize};
//! # use wfldb_core::request::VerifiedRequest;
//! fn skip_replay(request: VerifiedRequest, target: Target, peer: IpAddr) -> Result<Authorized, Forbidden> {
//!     authorize(request, Method::Get, RouteKind::Object, target, peer, Written::Later)
//! }
//! ```
//! ```compile_fail,E0451
//! # use wfldb_core::request::{FreshRequest, RequestHead};
//! # use wfldb_core::packet::VerifiedPacket;
//! fn skip_signature(request: RequestHead, other: FreshRequest) -> FreshRequest {
//!     FreshRequest { request, ..other }
//! }
//! ```

mod actor;
mod authorize;
mod authorized;
mod charge;
mod explain;
mod op;
mod route;
mod target;

pub use actor::Actor;
pub use authorize::{Forbidden, ObjectAttributes, Written, authorize};
pub use authorized::Authorized;
pub use charge::{Charge, GrantId};
pub use explain::{DryRun, Explained, Inquiry, LinkVerdict, Objection};
pub use op::{Op, OpSet};
pub use route::{Method, RouteKind, fits_session, required};
pub use target::{Access, AuditPart, Service, Target};
