//! The client without a wflDB server: local rules, and the wire against a server that misbehaves on command.

mod changes;
mod delegate;
mod fake;
mod local;
mod parts;
mod queries;
mod sessions;
mod upload;
mod wire;
