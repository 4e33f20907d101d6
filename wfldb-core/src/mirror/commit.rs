//! A commit of the mirror's history in git: what it says of the store, in one spelling, signed by the store's node key.
//!
//! Trees and files are git's. The commit names a tree and its predecessor by their SHA-1, and is signed as git signs with
//! keys of OpenSSH, so `git verify-commit` checks it and everything below it without any code of ours.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use crate::audit::TreeHash;
use crate::encoding::hex;
use crate::id::{KeyId, PublicKey, Role, SecretKey};
use crate::limits::{AUDIT_ACTOR_BYTES_MAX, MIRROR_COMMIT_BYTES_MAX};
use crate::name::Realm;
use crate::sshsig;
use crate::time::UnixMillis;

const SEQUENCES: &str = "Wfldb-Seq: ";
const AUTHOR: &str = "Wfldb-Author: ";
const CHECKPOINT: &str = "Wfldb-Checkpoint: ";
const MERGED: &str = "Wfldb-Merged: ";
const SIGNATURE: &str = "gpgsig ";

/// The name of an object of git: 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitId([u8; 20]);

impl GitId {
    /// Reads the one spelling; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode_array(text).ok().map(Self)
    }
}

impl fmt::Display for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for GitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitId({self})")
    }
}

/// Whoever wrote some of the changes of a commit, as evidence names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authors(BTreeSet<String>);

impl Authors {
    /// Adds one. What could not stand in a line of its own (the reasons of embedded writers are free text) becomes `_`.
    pub fn insert(&mut self, author: &str) {
        let plain = |byte: u8| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '_'
            }
        };
        let name: String = author.bytes().take(AUDIT_ACTOR_BYTES_MAX).map(plain).collect();
        if !name.is_empty() {
            self.0.insert(name);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// They, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for Authors {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        let mut authors = Self::default();
        for name in names {
            authors.insert(name);
        }
        authors
    }
}

/// A commit of a mirror, without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorCommit {
    /// All files.
    pub tree: GitId,
    /// The commit before.
    pub parent: Option<GitId>,
    /// Another store's commit that was brought in, everything below it included.
    pub merged: Option<GitId>,
    /// The realm of the store.
    pub realm: Realm,
    /// The time, of which seconds are kept.
    pub time: UnixMillis,
    /// The first and the last change of the store that it has.
    pub sequences: (u64, u64),
    /// Whose changes those are.
    pub authors: Authors,
    /// Size and root of the newest checkpoint of the audit log.
    pub checkpoint: Option<(u64, TreeHash)>,
}

impl MirrorCommit {
    /// The commit object, signed. The same commit and key give the same bytes.
    #[must_use]
    pub fn sign(&self, key: &SecretKey) -> Vec<u8> {
        let (head, message) = self.parts(&KeyId::new(Role::Node, key.public_key()));
        let signature = sshsig::sign(
            sshsig::GIT_NAMESPACE,
            key,
            format!("{head}\n{message}").as_bytes(),
        );
        let signature = signature.trim_end().replace('\n', "\n ");
        format!("{head}{SIGNATURE}{signature}\n\n{message}").into_bytes()
    }

    /// Reads a commit object that [`sign`](Self::sign) could have made, and whose signature verifies. By which key, and
    /// whether that is one to be trusted, is for the caller to look at. `None` for anything else.
    #[must_use]
    pub fn open(object: &[u8]) -> Option<(Self, PublicKey)> {
        if object.len() > MIRROR_COMMIT_BYTES_MAX {
            return None;
        }
        let object = std::str::from_utf8(object).ok()?;
        let (head, rest) = object.split_once(SIGNATURE)?;
        let (signature, message) = rest.split_once("\n\n")?;
        let signature = format!("{}\n", signature.replace("\n ", "\n"));
        let signed = format!("{head}\n{message}");
        let key = sshsig::verify(sshsig::GIT_NAMESPACE, &signature, signed.as_bytes())?;
        let commit = Self::parse(head, message)?;
        let id = KeyId::new(Role::Node, key.clone());
        let (our_head, our_message) = commit.parts(&id);
        let indented = format!(
            "{head}{SIGNATURE}{}\n\n{message}",
            signature.trim_end().replace('\n', "\n ")
        );
        (our_head == head && our_message == message && indented == object).then_some((commit, key))
    }

    /// The lines above the signature, and the message.
    fn parts(&self, id: &KeyId) -> (String, String) {
        let mut head = format!("tree {}\n", self.tree);
        for parent in self.parent.iter().chain(&self.merged) {
            let _ = writeln!(head, "parent {parent}");
        }
        let (realm, seconds) = (&self.realm, self.time.seconds());
        for role in ["author", "committer"] {
            let _ = writeln!(head, "{role} {realm} <{id}> {seconds} +0000");
        }
        let (first, last) = self.sequences;
        let mut message = format!("Changes {first} to {last}\n\n{SEQUENCES}{first}-{last}\n");
        for author in self.authors.iter() {
            let _ = writeln!(message, "{AUTHOR}{author}");
        }
        if let Some((size, root)) = &self.checkpoint {
            let _ = writeln!(message, "{CHECKPOINT}{size} {root}");
        }
        if let Some(merged) = &self.merged {
            let _ = writeln!(message, "{MERGED}{merged}");
        }
        (head, message)
    }

    /// Takes the values out of their places; that nothing else stands there is not looked at.
    fn parse(head: &str, message: &str) -> Option<Self> {
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let author = value("author ")?;
        let (realm, rest) = author.split_once(' ')?;
        let seconds: u64 = rest.split(' ').nth(1)?.parse().ok()?;
        let trailer = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        let (first, last) = trailer(SEQUENCES)?.split_once('-')?;
        let checkpoint = match trailer(CHECKPOINT) {
            None => None,
            Some(text) => {
                let (size, root) = text.split_once(' ')?;
                Some((size.parse().ok()?, TreeHash::parse(root).ok()?))
            }
        };
        let merged = match trailer(MERGED) {
            None => None,
            Some(merged) => Some(GitId::parse(merged)?),
        };
        let parents = head.lines().filter_map(|line| line.strip_prefix("parent "));
        let mut parents = parents.filter_map(GitId::parse);
        // One that was brought in is the last of them, and may be the only one. What else stands there is found when it is
        // spelled again.
        let parent = match (parents.next(), merged) {
            (Some(first), Some(merged)) if first == merged && parents.next().is_none() => None,
            (first, _) => first,
        };
        Some(Self {
            tree: GitId::parse(value("tree ")?)?,
            parent,
            merged,
            realm: Realm::parse(realm).ok()?,
            time: UnixMillis::new(seconds.checked_mul(1000)?),
            sequences: (first.parse().ok()?, last.parse().ok()?),
            authors: message
                .lines()
                .filter_map(|line| line.strip_prefix(AUTHOR))
                .collect(),
            checkpoint,
        })
    }
}
