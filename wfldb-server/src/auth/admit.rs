//! Admission: every check between a request's syntax and its handler, in the protocol's order.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use wfldb_core::auth::{
    Authorized, Charge, Forbidden, Method, ObjectAttributes, Op, RouteKind, Target, Written, authorize,
    fits_session,
};
use wfldb_core::id::BucketId;
use wfldb_core::packet::{PacketError, UrlLink};
use wfldb_core::request::{
    ArrivedRequest, Attempt, FreshRequest, LinkRequest, SessionRequest, SignedRequest,
};
use wfldb_core::revocation::Asked;
use wfldb_core::session::{ExchangeKey, Offer};
use wfldb_core::time::UnixMillis;
use wfldb_core::verifier::Verifier;
use wfldb_engine::RevocationView;
use wfldb_net::keys::RevokeAsked;
use wfldb_net::route::{Parameters, Route};

use super::heard::Heard;
use super::packets::Packets;
use super::rate::Rates;
use super::refusals::Refusals;
use super::replay::Replay;
use super::sessions::Sessions;
use crate::clock::Clock;
use crate::fault::Fault;

/// What stands between the socket and the handlers.
#[derive(Debug)]
pub(crate) struct Gate {
    packets: Packets,
    replay: Replay,
    sessions: Sessions,
    rates: Rates,
    refusals: Refusals,
    verifier: Verifier,
}

/// A request in front of the gate: its form is right, nothing else is known.
#[derive(Debug)]
pub(crate) struct Knock {
    pub(crate) request: ArrivedRequest,
    pub(crate) route: Route,
    pub(crate) peer: IpAddr,
    /// What is found out about who signed it.
    pub(crate) heard: Heard,
}

/// A request that the holder of a good packet signed, or tagged with the key of a session, and that was not seen before;
/// or one by a link that such a holder made.
#[derive(Debug)]
pub(crate) struct Known {
    fresh: FreshRequest,
    route: Route,
    peer: IpAddr,
}

impl Known {
    /// What the durable mark has to be at or above. A session's request needs no mark: after a restart there is no
    /// session that it could be sent to again. Nor does one by a link, which may be sent again anyway.
    pub(crate) fn to_be_covered(&self) -> Option<UnixMillis> {
        (!self.fresh.is_of_session() && self.fresh.link().is_none()).then(|| self.fresh.request().timestamp())
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
        sessions: Sessions,
        revocations: Arc<RevocationView>,
        rates: Rates,
    ) -> Self {
        Self {
            packets: Packets::new(trust, audience, revocations),
            replay,
            sessions,
            rates,
            refusals: Refusals::default(),
            verifier: Verifier::default(),
        }
    }

    pub(crate) fn replay(&self) -> &Replay {
        &self.replay
    }

    /// How many refusals are logged.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The checks that cost nothing: the timestamp.
    pub(crate) fn check_time(&self, request: &ArrivedRequest, clock: &Clock) -> Result<(), Fault> {
        let request = match request {
            ArrivedRequest::Signed(_) | ArrivedRequest::Session(_) => request.head(),
            // It says no time; the link does.
            ArrivedRequest::Link(_) => return Ok(()),
        };
        request.check_time(clock.now(), self.replay.window())?;
        // SECURITY: what the last process may have carried out is not carried out again.
        if request.timestamp() <= self.replay.at_start() {
            Err(Fault::BeforeStart)
        } else {
            Ok(())
        }
    }

    /// Who is asking: packet, signature, time of the packet, nonce; of a session its tag, time and counter. Computes for
    /// about as long as two signatures take to verify when the packet is new, for one otherwise; no I/O.
    ///
    /// ORDER: these, then the durable mark ([`Replay::cover`]), then capability and parameters ([`Gate::decide`]).
    /// Moving one changes what a stranger learns: a capability must not be told apart before the nonce is spent, nor a
    /// parameter before the capability. DURABILITY: nothing is done that an answer could tell of before the mark
    /// covers the request.
    pub(crate) fn identify(&self, knock: Knock, clock: &Clock) -> Result<Known, Fault> {
        let Knock {
            request,
            route,
            peer,
            heard,
        } = knock;
        let fresh = match request {
            ArrivedRequest::Signed(request) => self.signed(request, &route, &heard, clock.now())?,
            ArrivedRequest::Session(request) => self.tagged(request, clock.now())?,
            ArrivedRequest::Link(request) => self.linked(request, &route, &heard, clock.now())?,
        };
        Ok(Known { fresh, route, peer })
    }

    fn signed(
        &self,
        request: SignedRequest,
        route: &Route,
        heard: &Heard,
        now: UnixMillis,
    ) -> Result<FreshRequest, Fault> {
        let packet = self.packets.verified(request.packet_token())?;
        let verified = request.verify(&packet, self.packets.audience(), &self.verifier)?;
        heard.note(Attempt::of_signed(
            &verified,
            route.method,
            route.kind,
            &route.target,
        ));
        Ok(self.replay.spend(verified, now)?)
    }

    /// The packet was verified when the session was opened; whether it was revoked since is asked when the session is
    /// found, as `signed` asks it of its packet.
    fn tagged(&self, request: SessionRequest, now: UnixMillis) -> Result<FreshRequest, Fault> {
        let live = self.sessions.find(&request.session(), now);
        let live = live.ok_or(Fault::SessionUnknown)?;
        let tagged = request.verify(&live.session, self.packets.audience())?;
        Ok(live.spend(tagged, now)?)
    }

    /// The packet in the link goes the way of every packet, so that what ends one ends its links; a link can be ended by
    /// itself too.
    fn linked(
        &self,
        request: LinkRequest,
        route: &Route,
        heard: &Heard,
        now: UnixMillis,
    ) -> Result<FreshRequest, Fault> {
        let link = UrlLink::parse(request.token())?;
        let packet = self.packets.verified(link.packet_token())?;
        let link = link.verify(&packet)?;
        if self.packets.revocations().covers(link.chain()) {
            return Err(PacketError::Revoked.into());
        }
        heard.note(Attempt::of_link(&link, route.method, route.kind, &route.target));
        Ok(request.fresh(link, now)?)
    }

    /// Opens a session for whoever signed the request of this proof.
    pub(crate) fn open_session(
        &self,
        authorized: &Authorized,
        client: ExchangeKey,
        clock: &Clock,
    ) -> Result<Offer, Fault> {
        let packet = authorized.packet().ok_or(Fault::Forbidden(Forbidden))?;
        self.sessions
            .open(client, packet, self.packets.audience(), clock.now())
    }

    /// What somebody asks to revoke, with the packets in it verified.
    pub(crate) fn asked(&self, asked: RevokeAsked) -> Result<Asked, Fault> {
        let shown = |token: &str| self.packets.shown(token).map_err(|_| Fault::Body);
        Ok(match asked {
            RevokeAsked::Hash(hash) => Asked::Hash(hash),
            RevokeAsked::Key(key) => Asked::Key(key),
            RevokeAsked::Packet(token) => Asked::Packet(shown(&token)?),
            RevokeAsked::Link(token) => {
                let link = UrlLink::parse(&token).map_err(|_| Fault::Body)?;
                let packet = shown(link.packet_token())?;
                Asked::Link(link.verify(&packet).map_err(|_| Fault::Body)?)
            }
            RevokeAsked::Below(token, key) => Asked::Below(shown(&token)?, key),
        })
    }

    /// May they: capability, rate, parameters. See [`Gate::identify`] for the order.
    pub(crate) fn decide(&self, known: Known) -> Result<Admitted, Fault> {
        let Known { fresh, route, peer } = known;
        // What is refused costs as much as what is not, so it counts too.
        if !self
            .rates
            .take_of_key(fresh.subject().public_key(), Instant::now())
        {
            return Err(Fault::Rate);
        }
        // Said by the protocol for everyone, so it tells nobody anything.
        if fresh.is_of_session() && !fits_session(route.method, route.kind) {
            return Err(Fault::SignatureRequired);
        }
        let most = fresh.link().and_then(|link| link.claims().max_bytes);
        // The link says it to whoever holds it.
        if most.is_some_and(|most| fresh.request().content().len() > most) {
            return Err(Fault::BodyTooLarge);
        }
        let content_type = fresh.request().header("content-type").map(str::to_owned);
        let put = ObjectAttributes {
            content_type: content_type.as_deref(),
            len: fresh.request().content().len(),
        };
        let puts = matches!(route.kind, RouteKind::Object | RouteKind::ObjectLink);
        let written = if route.method == Method::Put && puts {
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

    /// The rate of the bucket that a request is about. `manage` is not counted by it, so that a bucket under a flood can
    /// be given another rate.
    pub(crate) fn rate_of_bucket(&self, bucket: BucketId, rate: Option<u64>) -> Result<(), Fault> {
        match rate {
            Some(rate) if !self.rates.take_of_bucket(bucket, rate, Instant::now()) => Err(Fault::Rate),
            _ => Ok(()),
        }
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
