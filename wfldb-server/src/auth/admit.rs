//! Admission: every check between a request's syntax and its handler, in the protocol's order.

use std::net::IpAddr;
use std::time::Instant;

use wfldb_core::auth::{
    Authorized, Charge, Method, ObjectAttributes, Op, RouteKind, Target, Written, authorize,
};
use wfldb_core::request::{FreshRequest, SignedRequest};
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;
use wfldb_net::route::{Parameters, Route};

use super::packets::Packets;
use super::rate::Rates;
use super::replay::Replay;
use crate::clock::Clock;
use crate::fault::Fault;

/// What stands between the socket and the handlers.
#[derive(Debug)]
pub(crate) struct Gate {
    packets: Packets,
    replay: Replay,
    rates: Rates,
    verifier: Verifier,
}

/// A request in front of the gate: its form is right, nothing else is known.
#[derive(Debug)]
pub(crate) struct Knock {
    pub(crate) signed: SignedRequest,
    pub(crate) route: Route,
    pub(crate) peer: IpAddr,
}

/// A request that is signed by the holder of a good packet and was not seen before.
#[derive(Debug)]
pub(crate) struct Known {
    fresh: FreshRequest,
    route: Route,
    peer: IpAddr,
}

impl Known {
    pub(crate) fn timestamp(&self) -> UnixMillis {
        self.fresh.request().timestamp()
    }
}

/// A request behind the gate.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) authorized: Authorized,
    pub(crate) parameters: Parameters,
}

impl Gate {
    pub(crate) fn new(
        trust: wfldb_core::packet::TrustedRoots,
        audience: wfldb_core::name::Audience,
        replay: Replay,
    ) -> Self {
        Self {
            packets: Packets::new(trust, audience),
            replay,
            rates: Rates::new(),
            verifier: Verifier::default(),
        }
    }

    pub(crate) fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The checks that cost nothing: the timestamp.
    pub(crate) fn check_time(&self, signed: &SignedRequest, clock: &Clock) -> Result<(), Fault> {
        signed.check_time(clock.now(), self.replay.window())?;
        // SECURITY: what the last process may have carried out is not carried out again.
        if signed.timestamp() <= self.replay.at_start() {
            Err(Fault::BeforeStart)
        } else {
            Ok(())
        }
    }

    /// Who is asking: packet, signature, time of the packet, nonce. Computes for about as long as two signatures take
    /// to verify when the packet is new, for one otherwise; no I/O.
    ///
    /// ORDER: these, then the durable mark ([`Replay::cover`]), then capability and parameters ([`Gate::decide`]).
    /// Moving one changes what a stranger learns: a capability must not be told apart before the nonce is spent, nor a
    /// parameter before the capability. DURABILITY: nothing is done that an answer could tell of before the mark
    /// covers the request.
    pub(crate) fn identify(&self, knock: Knock, clock: &Clock) -> Result<Known, Fault> {
        let Knock { signed, route, peer } = knock;
        let packet = self.packets.verified(signed.packet_token())?;
        let verified = signed.verify(&packet, self.packets.audience(), &self.verifier)?;
        let fresh = self.replay.spend(verified, clock.now())?;
        Ok(Known { fresh, route, peer })
    }

    /// May they: capability, rate, parameters. See [`Gate::identify`] for the order.
    pub(crate) fn decide(&self, known: Known) -> Result<Admitted, Fault> {
        let Known { fresh, route, peer } = known;
        let content_type = fresh.request().header("content-type").map(str::to_owned);
        let put = ObjectAttributes {
            content_type: content_type.as_deref(),
            len: fresh.request().content().len(),
        };
        let written = if route.method == Method::Put && route.kind == RouteKind::Object {
            Written::Known(put)
        } else {
            Written::Later
        };
        let authorized = authorize(
            fresh,
            route.method,
            route.kind,
            route.target.clone(),
            peer,
            written,
        )?;
        if !self.rates.take(authorized.charges(), Instant::now()) {
            return Err(Fault::Rate);
        }
        let parameters = route.parameters()?;
        Ok(Admitted {
            authorized,
            parameters,
        })
    }

    /// The rates of what a request does beside its first access: the entries of a batch, the source of a copy. A grant is
    /// charged once for a request, however much of it falls to the grant.
    ///
    /// Takes nothing where one of them is forbidden: the engine refuses that, and says which it is.
    pub(crate) fn further<'a>(
        &self,
        first: &Authorized,
        accesses: impl Iterator<Item = (Op, Target, Written<'a>)>,
    ) -> Result<(), Fault> {
        let mut charges: Vec<Charge> = Vec::new();
        for (op, target, written) in accesses {
            let Ok(proof) = first.further(op, target, written) else {
                return Ok(());
            };
            for charge in proof.charges() {
                if !first.charges().contains(charge) && !charges.contains(charge) {
                    charges.push(charge.clone());
                }
            }
        }
        if self.rates.take(&charges, Instant::now()) {
            Ok(())
        } else {
            Err(Fault::Rate)
        }
    }
}
