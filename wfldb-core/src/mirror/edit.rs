//! What an edited file of a mirror asks for: a new version, nothing, or a decision by people.

use super::merge::{Conflict, merge};
use crate::doc::{EnvelopeError, MEMBERS, Object, Value, without_envelope};
use crate::name::ObjectKey;

/// What is done where the store's document changed since the file that was edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// `manual`: nothing; people decide.
    Manual,
    /// `last-write-wins`: the file replaces what is there, which stays in the history.
    LastWrite,
    /// `fields`: members that only one side changed are taken from that side; of one that both changed, people decide.
    Fields,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Manual, Self::LastWrite, Self::Fields];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::LastWrite => "last-write-wins",
            Self::Fields => "fields",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }
}

/// What an edited file comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// It says nothing that the store does not say, or is only behind.
    Unchanged,
    /// A new version with these members, on top of the current one.
    Put(Object),
    /// Both sides changed the document; the store's side is `ours`. Nothing is written.
    Conflict(Vec<Conflict>),
}

/// The `_hash` that an edited document has from the version that the edit began with, if it has one.
pub fn begun_with(edited: &Object) -> Option<&str> {
    edited.get("_hash").and_then(Value::as_str)
}

/// Settles the edit of a document's file. `edited` is what stands in the file, `current` the store's newest version with
/// its envelope, if it is live, and `base` the version that has the hash of [`begun_with`], if it is kept. Of the
/// envelope in the file only `_id` and `_hash` say anything; a new version gets one of its own.
///
/// # Errors
/// `Reserved` for another member that begins with `_`, `WrongId`.
pub fn settle(
    key: &ObjectKey,
    edited: &Object,
    current: Option<&Object>,
    base: Option<&Object>,
    strategy: Strategy,
) -> Result<Edit, EnvelopeError> {
    let foreign = |name: &&String| name.starts_with('_') && !MEMBERS.contains(&name.as_str());
    if let Some(name) = edited.keys().find(foreign) {
        return Err(EnvelopeError::Reserved(name.clone()));
    }
    if edited
        .get("_id")
        .is_some_and(|id| id.as_str() != Some(key.as_str()))
    {
        return Err(EnvelopeError::WrongId);
    }
    let begun_with = begun_with(edited);
    let edited = without_envelope(edited.clone());
    let base = base.map(|base| without_envelope(base.clone()));
    let same = current.is_some_and(|current| begun_with.is_some() && self::begun_with(current) == begun_with);
    let ours = current.map(|current| without_envelope(current.clone()));
    if ours.as_ref() == Some(&edited) || (!same && base.as_ref() == Some(&edited)) {
        return Ok(Edit::Unchanged);
    }
    let is_new = current.is_none() && begun_with.is_none();
    if same || is_new || strategy == Strategy::LastWrite {
        return Ok(Edit::Put(edited));
    }
    let whole = |ours: Option<Object>, base: Option<Object>, edited: Object| Conflict {
        pointer: String::new(),
        base: base.map(Value::Object),
        ours: ours.map(Value::Object),
        theirs: Some(Value::Object(edited)),
    };
    let (Some(ours), Some(base)) = (&ours, &base) else {
        // It was deleted meanwhile, or nobody knows what the edit began with: then a member that is missing on one side
        // may have been removed there or added here.
        return Ok(Edit::Conflict(vec![whole(ours, base, edited)]));
    };
    let (merged, conflicts) = merge(base, ours, &edited);
    Ok(match strategy {
        Strategy::Fields if conflicts.is_empty() => Edit::Put(merged),
        _ if conflicts.is_empty() => {
            Edit::Conflict(vec![whole(Some(ours.clone()), Some(base.clone()), edited)])
        }
        _ => Edit::Conflict(conflicts),
    })
}
