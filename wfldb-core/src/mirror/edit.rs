//! What an edited file of a mirror asks for: a new version, nothing, or a decision by people.

use super::merge::{Conflict, merge};
use crate::doc::{EnvelopeError, MEMBERS, Object, Value, without_envelope};
use crate::id::{ContentHash, VersionId};
use crate::name::ObjectKey;
use crate::object::ObjectHeaders;

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

/// What a version of an object is, as far as an edit of its files can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSide {
    /// BLAKE3 of its bytes.
    pub etag: ContentHash,
    /// What is kept with them. Servers say `application/octet-stream` where there is no type, so it is none here.
    pub headers: ObjectHeaders,
}

impl ObjectSide {
    /// A side of these bytes.
    #[must_use]
    pub fn new(etag: ContentHash, mut headers: ObjectHeaders) -> Self {
        let untyped = |text: &crate::object::HeaderText| text.as_str() == "application/octet-stream";
        if headers.content_type.as_ref().is_some_and(untyped) {
            headers.content_type = None;
        }
        Self { etag, headers }
    }
}

/// What an object's edited files come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectEdit {
    /// They say nothing that the store does not say, or are only behind.
    Unchanged,
    /// A new version, on top of the current one.
    Put,
    /// Both sides changed the object: nothing is written.
    Conflict,
}

/// Settles the edit of an object's files. `begun_with` is the version that they were written of; `None`: somebody made
/// the file, and says nothing but its bytes. `current` is the store's newest version, if it is live, and `base` what the
/// version of `begun_with` was, if that is known. The bytes of an object are one value, and what is said of it goes with
/// them, so [`Strategy::Fields`] settles no more than [`Strategy::Manual`].
#[must_use]
pub fn settle_object(
    edited: &ObjectSide,
    begun_with: Option<VersionId>,
    current: Option<(VersionId, &ObjectSide)>,
    base: Option<&ObjectSide>,
    strategy: Strategy,
) -> ObjectEdit {
    let same =
        |current: &ObjectSide| current == edited || (begun_with.is_none() && current.etag == edited.etag);
    let on_top = match (begun_with, current) {
        (Some(begun_with), Some((version, _))) => begun_with == version,
        (begun_with, current) => begun_with.is_none() && current.is_none(),
    };
    if current.is_some_and(|(_, current)| same(current)) || (!on_top && base == Some(edited)) {
        ObjectEdit::Unchanged
    } else if on_top || strategy == Strategy::LastWrite {
        ObjectEdit::Put
    } else {
        ObjectEdit::Conflict
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectEdit::{Conflict, Put, Unchanged};
    use super::*;
    use crate::time::UnixMillis;

    fn side(bytes: &str, kind: &str) -> ObjectSide {
        let headers = ObjectHeaders::parse([("content-type", kind)]).unwrap();
        ObjectSide::new(ContentHash::of(bytes.as_bytes()), headers)
    }

    /// DEFECT: an edit that is lost, or that takes back what somebody else wrote.
    #[test]
    fn files_of_an_object_are_settled_by_what_they_were_written_of() {
        let id = |n: u64| VersionId::from_parts(UnixMillis::new(n), [0; 10]);
        let (old, new, theirs) = (side("a", "x/y"), side("b", "x/y"), side("c", "x/y"));
        let retyped = side("a", "x/z");
        let settled = |edited: &ObjectSide, begun, current, base| {
            let manual = settle_object(edited, begun, current, base, Strategy::Manual);
            let wins = settle_object(edited, begun, current, base, Strategy::LastWrite);
            let fields = settle_object(edited, begun, current, base, Strategy::Fields);
            assert_eq!(fields, manual);
            if manual == Conflict {
                assert_eq!(wins, Put);
            } else {
                assert_eq!(wins, manual);
            }
            manual
        };
        let one = Some(id(1));
        // Nobody else wrote.
        assert_eq!(settled(&old, one, Some((id(1), &old)), Some(&old)), Unchanged);
        assert_eq!(settled(&new, one, Some((id(1), &old)), Some(&old)), Put);
        assert_eq!(settled(&retyped, one, Some((id(1), &old)), Some(&old)), Put);
        // Somebody did: the files are behind, say the same, or both changed it.
        assert_eq!(settled(&old, one, Some((id(2), &theirs)), Some(&old)), Unchanged);
        assert_eq!(settled(&new, one, Some((id(2), &new)), Some(&old)), Unchanged);
        assert_eq!(settled(&new, one, Some((id(2), &theirs)), Some(&old)), Conflict);
        assert_eq!(
            settled(&retyped, one, Some((id(2), &theirs)), Some(&old)),
            Conflict
        );
        assert_eq!(settled(&old, one, Some((id(2), &theirs)), None), Conflict);
        // Deleted meanwhile.
        assert_eq!(settled(&old, one, None, Some(&old)), Unchanged);
        assert_eq!(settled(&new, one, None, Some(&old)), Conflict);
        // A file that somebody made.
        assert_eq!(settled(&new, None, None, None), Put);
        assert_eq!(settled(&retyped, None, Some((id(2), &old)), None), Unchanged);
        assert_eq!(settled(&new, None, Some((id(2), &old)), None), Conflict);
    }

    #[test]
    fn no_type_is_the_type_that_servers_say() {
        assert_eq!(side("a", "application/octet-stream").headers.content_type, None);
    }
}
