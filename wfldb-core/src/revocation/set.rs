//! The set of what is revoked, and the decision whether it covers a chain.

use std::collections::{BTreeSet, HashMap};

use super::{Chain, KeyBytes, Revoked};
use crate::time::UnixMillis;

/// How a revocation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of a key: it covers links that were issued at or before this time, in seconds since 1970. A link that a root key
    /// signed with it is covered whenever it was issued.
    pub issued_until: u64,
    /// When it cannot matter any more, since nothing that it covers is valid; `None`: never.
    pub kept_until: Option<UnixMillis>,
    /// Whose share of the set it takes, unless an administrator revoked.
    pub share: Option<KeyBytes>,
}

/// What is revoked. Kept in memory whole, so its size is bounded by who adds to it.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    entries: HashMap<Revoked, Terms>,
    /// How many of them are [`Revoked::Below`].
    below: usize,
    ends: BTreeSet<(UnixMillis, Revoked)>,
    shares: HashMap<KeyBytes, usize>,
    shared: usize,
}

impl Revocations {
    /// Whether a chain is revoked: one of its packets is, or a key in it.
    ///
    /// A key ends each link that it holds and that was issued early enough; the links that it signed follow one of
    /// those, so they go with it. A key that signed link 0 is a root's, and ends the chain whenever it was issued.
    pub fn covers(&self, chain: &Chain) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let links = chain.links();
        let root = links.first();
        let by_root = root.is_some_and(|root| self.entries.contains_key(&Revoked::Key(root.iss)));
        by_root
            || links.iter().enumerate().any(|(place, link)| {
                let held = |what| {
                    let terms = self.entries.get(&what);
                    terms.is_some_and(|terms| link.iat <= terms.issued_until)
                };
                self.entries.contains_key(&Revoked::Packet(link.hash))
                    || held(Revoked::Key(link.sub))
                    || (self.below > 0
                        && links.iter().take(place + 1).any(|above| {
                            let (link, key) = (above.hash, link.sub);
                            held(Revoked::Below { link, key })
                        }))
            })
    }

    /// How something is revoked; `None` when it is not.
    pub fn get(&self, what: &Revoked) -> Option<&Terms> {
        self.entries.get(what)
    }

    /// Adds a revocation, or replaces its terms; gives those that it had.
    pub fn insert(&mut self, what: Revoked, terms: Terms) -> Option<Terms> {
        let before = self.remove(&what);
        self.entries.insert(what, terms);
        self.below += usize::from(matches!(what, Revoked::Below { .. }));
        if let Some(end) = terms.kept_until {
            self.ends.insert((end, what));
        }
        if let Some(share) = terms.share {
            *self.shares.entry(share).or_insert(0) += 1;
            self.shared += 1;
        }
        before
    }

    /// Takes a revocation away; gives the terms that it had.
    pub fn remove(&mut self, what: &Revoked) -> Option<Terms> {
        let terms = self.entries.remove(what)?;
        self.below -= usize::from(matches!(what, Revoked::Below { .. }));
        if let Some(end) = terms.kept_until {
            self.ends.remove(&(end, *what));
        }
        if let Some(share) = terms.share {
            self.shared -= 1;
            if let Some(count) = self.shares.get_mut(&share) {
                *count -= 1;
                if *count == 0 {
                    self.shares.remove(&share);
                }
            }
        }
        Some(terms)
    }

    /// At most so many of those that cannot matter any more, the oldest first.
    pub fn ended(&self, now: UnixMillis, most: usize) -> Vec<Revoked> {
        let ended = self.ends.iter().take_while(|(end, _)| *end <= now);
        ended.take(most).map(|(_, what)| *what).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many take the share of a key.
    pub fn of_share(&self, share: &KeyBytes) -> usize {
        self.shares.get(share).copied().unwrap_or(0)
    }

    /// How many take anybody's share.
    pub fn shared(&self) -> usize {
        self.shared
    }
}
