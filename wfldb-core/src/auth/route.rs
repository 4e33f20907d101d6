//! The one table of (method, route) and the operations each needs. Not here: how a path becomes a
//! route (net).

use std::fmt;

use super::Op;

/// The methods of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `PUT`.
    Put,
    /// `POST`.
    Post,
    /// `DELETE`.
    Delete,
    /// `PATCH`.
    Patch,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 6] = [
        Self::Get,
        Self::Head,
        Self::Put,
        Self::Post,
        Self::Delete,
        Self::Patch,
    ];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
        }
    }

    /// Reads the wire form; `None` for any other method.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The routes of the protocol, a query mode being a route of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// `/v1`.
    Buckets,
    /// `/v1/{bucket}`.
    Bucket,
    /// `/v1/{bucket}?force=true`.
    BucketForce,
    /// `/v1/{bucket}/{key}`.
    Object,
    /// `/v1/{bucket}/{key}?history=true`.
    ObjectHistory,
    /// `/v1/{bucket}/{key}?version=`.
    ObjectVersion,
    /// `/v1/{bucket}/{key}?versions=true`.
    ObjectVersions,
    /// `/v1/{bucket}/{key}?undelete=true`.
    ObjectUndelete,
    /// `/v1/{bucket}/{key}?at=`.
    ObjectAt,
    /// `/v1/{bucket}/{key}?copy=`.
    ObjectCopy,
    /// `/v1/{bucket}/{key}?link=`.
    ObjectLink,
    /// `/v1/{bucket}/{key}?multipart=start`.
    UploadStart,
    /// `/v1/{bucket}/{key}?multipart={id}`.
    Upload,
    /// `/v1/{bucket}/{key}?multipart={id}&part={n}`.
    UploadPart,
    /// `/v1/{bucket}/scan`.
    Scan,
    /// `/v1/{bucket}/batch`.
    Batch,
    /// `/v1/{bucket}/_find`.
    Find,
    /// `/v1/{bucket}/_explain`.
    Explain,
    /// `/v1/{bucket}/_index`.
    Indexes,
    /// `/v1/{bucket}/_aggregate`.
    Aggregate,
    /// `/v1/{bucket}/_changes`.
    Changes,
    /// `/v1/{bucket}/_search`.
    Search,
    /// `/v1/{bucket}/_search?rebuild=true`.
    SearchRebuild,
    /// `/v1/{bucket}/_bulk`.
    Bulk,
    /// `/v1/{bucket}/_schema`.
    Schema,
    /// `/v1/_stats`.
    Stats,
    /// `/v1/_admin`.
    Admin,
    /// `/v1/_backup`.
    Backup,
    /// `/v1/_dryrun`.
    DryRun,
    /// `/v1/_session`.
    Session,
    /// `/v1/_keys`.
    Keys,
    /// `/v1/_tx`.
    Tx,
    /// `/v1/_audit/checkpoint` and `/v1/_audit/tile/…`.
    AuditLog,
    /// `/v1/_audit/proof`.
    AuditProof,
    /// `/v1/_audit/consistency`.
    AuditConsistency,
    /// `/v1/_audit/receipt`.
    AuditReceipt,
}

impl RouteKind {
    /// All routes.
    pub const ALL: [Self; 36] = [
        Self::Buckets,
        Self::Bucket,
        Self::BucketForce,
        Self::Object,
        Self::ObjectHistory,
        Self::ObjectVersion,
        Self::ObjectVersions,
        Self::ObjectUndelete,
        Self::ObjectAt,
        Self::ObjectCopy,
        Self::ObjectLink,
        Self::UploadStart,
        Self::Upload,
        Self::UploadPart,
        Self::Scan,
        Self::Batch,
        Self::Find,
        Self::Explain,
        Self::Indexes,
        Self::Aggregate,
        Self::Changes,
        Self::Search,
        Self::SearchRebuild,
        Self::Bulk,
        Self::Schema,
        Self::Stats,
        Self::Admin,
        Self::Backup,
        Self::DryRun,
        Self::Session,
        Self::Keys,
        Self::Tx,
        Self::AuditLog,
        Self::AuditProof,
        Self::AuditConsistency,
        Self::AuditReceipt,
    ];
}

/// The operations that a method on a route needs, all of them; the first is the access itself.
/// `None`: the method is not allowed there (405).
///
/// SECURITY: the matches are exhaustive, so a new route or method does not compile without its row.
#[expect(clippy::too_many_lines, reason = "one table, in one place")]
pub const fn required(method: Method, route: RouteKind) -> Option<&'static [Op]> {
    use Method::{Delete, Get, Head, Patch, Post, Put};
    match route {
        // Any grant shows its bucket in the list of buckets, so `list` stands for "has a grant" there.
        RouteKind::Buckets | RouteKind::Scan => match method {
            Get => Some(&[Op::List]),
            Head | Put | Post | Delete | Patch => None,
        },
        RouteKind::Changes => match method {
            Get => Some(&[Op::Watch]),
            Head | Put | Post | Delete | Patch => None,
        },
        RouteKind::Bucket => match method {
            Get | Put | Delete => Some(&[Op::Manage]),
            Head | Post | Patch => None,
        },
        RouteKind::Schema => match method {
            Get | Put | Delete => Some(&[Op::Manage]),
            Head | Post | Patch => None,
        },
        RouteKind::Indexes => match method {
            Get | Post | Delete => Some(&[Op::Manage]),
            Head | Put | Patch => None,
        },
        RouteKind::BucketForce => match method {
            Delete => Some(&[Op::Manage, Op::Erase]),
            Get | Head | Put | Post | Patch => None,
        },
        RouteKind::Object => match method {
            Get | Head => Some(&[Op::Get]),
            Put => Some(&[Op::Put]),
            Delete => Some(&[Op::Delete]),
            // What is changed follows from what is there, and may be asked by a test.
            Patch => Some(&[Op::Put, Op::Get]),
            Post => None,
        },
        RouteKind::ObjectVersion => match method {
            Get | Head => Some(&[Op::Get]),
            Delete => Some(&[Op::Erase]),
            Put | Post | Patch => None,
        },
        RouteKind::ObjectVersions | RouteKind::ObjectHistory => match method {
            Get => Some(&[Op::Get]),
            Head | Put | Post | Delete | Patch => None,
        },
        RouteKind::ObjectAt => match method {
            Get | Head => Some(&[Op::Get]),
            Put | Post | Delete | Patch => None,
        },
        RouteKind::ObjectLink => match method {
            Get | Head => Some(&[Op::Get]),
            Put => Some(&[Op::Put]),
            Post | Delete | Patch => None,
        },
        RouteKind::Find | RouteKind::Explain | RouteKind::Aggregate => match method {
            Post => Some(&[Op::Query]),
            Get | Head | Put | Delete | Patch => None,
        },
        // What a search finds is cut to the caller's prefixes; how far the index is speaks of the whole bucket.
        RouteKind::Search => match method {
            Get => Some(&[Op::Manage]),
            Post => Some(&[Op::Query]),
            Head | Put | Delete | Patch => None,
        },
        RouteKind::SearchRebuild => match method {
            Post => Some(&[Op::Manage]),
            Get | Head | Put | Delete | Patch => None,
        },
        // A copy needs `get` of its source too, and a batch what each entry needs: both are decided once the source and
        // the entries are known. On the route of batches `put` stands for "may do something that an entry can be".
        RouteKind::ObjectUndelete
        | RouteKind::ObjectCopy
        | RouteKind::UploadStart
        | RouteKind::Batch
        | RouteKind::Bulk => match method {
            Post => Some(&[Op::Put]),
            Get | Head | Put | Delete | Patch => None,
        },
        RouteKind::Upload => match method {
            Get | Post | Delete => Some(&[Op::Put]),
            Head | Put | Patch => None,
        },
        RouteKind::UploadPart => match method {
            Put => Some(&[Op::Put]),
            Get | Head | Post | Delete | Patch => None,
        },
        // What a packet says is told to whoever holds it and has any grant in it, so `list` stands for that here too.
        RouteKind::DryRun => match method {
            Post => Some(&[Op::List]),
            Get | Head | Put | Delete | Patch => None,
        },
        RouteKind::Stats => match method {
            Get => Some(&[Op::Admin]),
            Head | Put | Post | Delete | Patch => None,
        },
        RouteKind::Admin | RouteKind::Backup => match method {
            Post => Some(&[Op::Admin]),
            Get | Head | Put | Delete | Patch => None,
        },
        // Whoever has a grant may end what they passed on, so `list` stands for that here too; what else may be
        // revoked is decided once it is known.
        RouteKind::Keys => match method {
            Get => Some(&[Op::Admin]),
            Post => Some(&[Op::List]),
            Head | Put | Delete | Patch => None,
        },
        // Whoever may audit anything may ask for receipts: of which keys is decided with the key.
        RouteKind::AuditLog
        | RouteKind::AuditProof
        | RouteKind::AuditConsistency
        | RouteKind::AuditReceipt => match method {
            Get => Some(&[Op::Audit]),
            Head | Put | Post | Delete | Patch => None,
        },
        // Here too `list` stands for "has a grant". What a transaction reads and writes is decided access by access.
        RouteKind::Session | RouteKind::Tx => match method {
            Post => Some(&[Op::List]),
            Get | Head | Put | Delete | Patch => None,
        },
    }
}

/// Whether a request of a session may use a method on a route; else it needs a signature of its own.
pub fn fits_session(method: Method, route: RouteKind) -> bool {
    // SECURITY: a session that opened the next one would never end, a revocation and a transaction need a signature as
    // evidence, and what comes by a link comes by nothing else.
    let is_another = matches!(
        route,
        RouteKind::Session | RouteKind::Keys | RouteKind::Tx | RouteKind::ObjectLink
    );
    !is_another && required(method, route).is_some_and(|ops| ops.iter().all(|op| op.fits_session()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, written out a second time by hand.
    #[test]
    fn every_method_and_route_needs_exactly_the_ops_of_the_protocol() {
        let rows: &[(RouteKind, &str)] = &[
            (RouteKind::Buckets, "GET:list"),
            (RouteKind::Bucket, "GET:manage PUT:manage DELETE:manage"),
            (RouteKind::BucketForce, "DELETE:manage+erase"),
            (
                RouteKind::Object,
                "GET:get HEAD:get PUT:put DELETE:delete PATCH:put+get",
            ),
            (RouteKind::ObjectHistory, "GET:get"),
            (RouteKind::Bulk, "POST:put"),
            (RouteKind::Schema, "GET:manage PUT:manage DELETE:manage"),
            (RouteKind::ObjectVersion, "GET:get HEAD:get DELETE:erase"),
            (RouteKind::ObjectVersions, "GET:get"),
            (RouteKind::ObjectUndelete, "POST:put"),
            (RouteKind::ObjectAt, "GET:get HEAD:get"),
            (RouteKind::ObjectCopy, "POST:put"),
            (RouteKind::ObjectLink, "GET:get HEAD:get PUT:put"),
            (RouteKind::UploadStart, "POST:put"),
            (RouteKind::Upload, "GET:put POST:put DELETE:put"),
            (RouteKind::UploadPart, "PUT:put"),
            (RouteKind::Scan, "GET:list"),
            (RouteKind::Batch, "POST:put"),
            (RouteKind::Find, "POST:query"),
            (RouteKind::Explain, "POST:query"),
            (RouteKind::Indexes, "GET:manage POST:manage DELETE:manage"),
            (RouteKind::Aggregate, "POST:query"),
            (RouteKind::Changes, "GET:watch"),
            (RouteKind::Search, "GET:manage POST:query"),
            (RouteKind::SearchRebuild, "POST:manage"),
            (RouteKind::Stats, "GET:admin"),
            (RouteKind::Admin, "POST:admin"),
            (RouteKind::Backup, "POST:admin"),
            (RouteKind::DryRun, "POST:list"),
            (RouteKind::Session, "POST:list"),
            (RouteKind::Keys, "GET:admin POST:list"),
            (RouteKind::Tx, "POST:list"),
            (RouteKind::AuditLog, "GET:audit"),
            (RouteKind::AuditProof, "GET:audit"),
            (RouteKind::AuditConsistency, "GET:audit"),
            (RouteKind::AuditReceipt, "GET:audit"),
        ];
        assert_eq!(rows.len(), RouteKind::ALL.len());
        for (route, expected) in rows {
            let found: Vec<String> = Method::ALL
                .into_iter()
                .filter_map(|method| {
                    let ops: Vec<_> = required(method, *route)?.iter().map(|op| op.as_str()).collect();
                    Some(format!("{method}:{}", ops.join("+")))
                })
                .collect();
            assert_eq!(found.join(" "), *expected, "{route:?}");
        }
    }

    /// Written out by hand. A defect it catches: a session that may open a session.
    #[test]
    fn a_session_reads_objects_and_listings_asks_and_does_nothing_else() {
        let reads = [
            (Method::Get, RouteKind::Buckets),
            (Method::Get, RouteKind::Object),
            (Method::Head, RouteKind::Object),
            (Method::Get, RouteKind::ObjectVersion),
            (Method::Head, RouteKind::ObjectVersion),
            (Method::Get, RouteKind::ObjectVersions),
            (Method::Get, RouteKind::ObjectHistory),
            (Method::Get, RouteKind::ObjectAt),
            (Method::Post, RouteKind::Aggregate),
            (Method::Head, RouteKind::ObjectAt),
            (Method::Get, RouteKind::Scan),
            // Questions have a body, and change nothing.
            (Method::Post, RouteKind::Find),
            (Method::Post, RouteKind::Explain),
            (Method::Get, RouteKind::Changes),
            (Method::Post, RouteKind::Search),
            // It tells what the packet of the session says.
            (Method::Post, RouteKind::DryRun),
        ];
        for route in RouteKind::ALL {
            for method in Method::ALL {
                let expected = reads.contains(&(method, route));
                assert_eq!(fits_session(method, route), expected, "{method} {route:?}");
            }
        }
    }
}
